#!/bin/sh
# pydantic-monty 1.4.0: in a regular expression, "$" matches only at the very end of the text. In
# Python it matches before a newline at the end as well. Nothing is raised; there is just no match:
#
#   re.search(r"exit code (\d+)$", "exit code 1\n")   Python: a match   in the sandbox: None
#   re.findall(r"\w+$", "step failed\n")              Python: ["failed"]   in the sandbox: []
#   re.sub(r"\d+$", "N", "attempt 3\n")               Python: "attempt N\n"   unchanged in the sandbox
#
# With re.MULTILINE both agree, and so do both where the text has no newline at its end.
#
# Who is hit: the output of a command or a tool nearly always ends with a newline, so code that a
# model writes to search logs or traces finds nothing in the sandbox, and reports zero cases.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pydantic-monty==1.4.0" || exit 2
cat > "$folder/end_of_text.py" <<'PYTHON'
import re
import sys

from pydantic_monty import Monty

CALLS = (
    r're.search(r"exit code (\d+)$", "exit code 1\n") is not None',
    r're.findall(r"\w+$", "step failed\n")',
    r're.sub(r"\d+$", "N", "attempt 3\n")',
)
SAME = (
    r're.findall(r"\w+$", "step failed")',
    r're.findall(r"\w+$", "step failed\n", re.MULTILINE)',
)
in_python = {call: eval(call, {"re": re}) for call in CALLS + SAME}
with Monty() as pool, pool.checkout() as session:
    in_sandbox = {call: session.feed_run(f"import re\n{call}") for call in CALLS + SAME}
for call in CALLS + SAME:
    print(f"{call}\n    Python {in_python[call]!r}, sandbox {in_sandbox[call]!r}")
as_stated = (
    [in_sandbox[call] for call in CALLS] == [False, [], "attempt 3\n"]
    and [in_python[call] for call in CALLS] == [True, ["failed"], "attempt N\n"]
    and all(in_sandbox[call] == in_python[call] for call in SAME)
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
"$folder/venv/bin/python" "$folder/end_of_text.py"
