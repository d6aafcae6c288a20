#!/bin/sh
# google-re2 1.1.20251105: what its Python wrapper says of a pattern that RE2 does not accept.
#
#   the message of re2.error is bytes: str(error) is "b'missing ): ('", and the same for a pattern
#   that is text as for one that is bytes; re.error of the standard library has a text
#   besides the exception, RE2 writes a line of its log to standard error ("re2.cc: Error parsing
#   ..."), so that a program that handles the error still prints it
#
# Options.log_errors = False turns the line off, and leaves the exception as it is. Exits with 1 if
# any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "google-re2==1.1.20251105" || exit 2
cat > "$folder/rejected.py" <<'PYTHON'
import re
import subprocess
import sys
from importlib.metadata import version

import re2

COMPILE = """
import re2
options = re2.Options()
options.log_errors = {logs}
try:
    re2.compile("(", options)
except re2.error:
    pass
"""


def message(module, pattern):
    try:
        module.compile(pattern)
    except module.error as error:
        return error.args[0]


def written(logs):
    command = [sys.executable, "-c", COMPILE.format(logs=logs)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


print(f"google-re2 {version('google-re2')}")
found = {
    "re2, text": message(re2, "("),
    "re2, bytes": message(re2, b"("),
    "re, text": message(re, "("),
}
for name, said in found.items():
    print(f"{name:11} {said!r}")
default, quiet = written(True), written(False)
print("standard error by default:", default.strip().splitlines()[-1])
print(f"with log_errors = False: {quiet!r}")
same = (
    found["re2, text"] == found["re2, bytes"] == b"missing ): ("
    and isinstance(found["re, text"], str)
    and "re2.cc" in default and "Error parsing '('" in default
    and quiet == ""
)
sys.exit(0 if same else "The behaviour has changed.")
PYTHON
env -i HOME="$folder" PATH="$PATH" "$folder/venv/bin/python" "$folder/rejected.py"
