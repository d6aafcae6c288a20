#!/bin/sh
# pydantic-monty 1.4.0: code with a statement that its parser does not have, such as `del`, is refused as
# a whole, before its first line runs; but the error is that of a run that failed in that line: a
# MontyRuntimeError with NotImplementedError, a traceback and a line number. A mistake in the syntax,
# which is refused at the same time, is a MontySyntaxError.
#
#   a = 1; del a        MontyRuntimeError (NotImplementedError) in line 2; then a is not defined
#   a = 1; a = = 2      MontySyntaxError; then a is not defined
#   a = 1; b()          MontyRuntimeError (NameError) in line 2; then a is 1
#
# Who is hit: whoever tells the writer of the code, often a model, what of it has run. By the kind of the
# error the lines before the unknown statement have run and their effects are there; in truth none has.
# The message begins with "The monty syntax parser". Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pydantic-monty==1.4.0" || exit 2
cat > "$folder/statements.py" <<'PYTHON'
import sys

import pydantic_monty as monty

PARSER = "The monty syntax parser"


def outcome(code):
    """The kinds of the error of ``code``, its message, and whether ``a`` is known after it."""
    with monty.Monty() as pool, pool.checkout() as session:
        kind = error = message = None
        try:
            session.feed_run(code)
        except monty.MontyError as raised:
            kind, error = type(raised).__name__, type(raised.exception()).__name__
            message = str(raised.exception())
        try:
            known = session.feed_run("a") == 1
        except monty.MontyError:
            known = False
    return kind, error, message, known


unsupported = outcome("a = 1\ndel a")
wrong = outcome("a = 1\na = = 2")
failing = outcome("a = 1\nb()")
for found in (unsupported, wrong, failing):
    print(found)
is_same = (
    unsupported[:2] == ("MontyRuntimeError", "NotImplementedError")
    and unsupported[2].startswith(PARSER)
    and not unsupported[3]
    and wrong[0] == "MontySyntaxError"
    and not wrong[3]
    and failing[:2] == ("MontyRuntimeError", "NameError")
    and failing[3]
)
sys.exit(0 if is_same else 1)
PYTHON
"$folder/venv/bin/python" "$folder/statements.py"
