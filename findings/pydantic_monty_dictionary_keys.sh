#!/bin/sh
# pydantic-monty 1.4.0: writing to a key that is already there replaces the key as well, if the new
# one is equal but of another type. Python keeps the key that came first:
#
#   d = {1: "a"}; d[1.0] = "b"; d        Python {1: "b"}      in the sandbox {1.0: "b"}
#   dict.fromkeys([1, True])             Python {1: None}     in the sandbox {True: None}
#   json.dumps({1: "a", 1.0: "b"})       Python {"1": "b"}    in the sandbox {"1.0": "b"}
#
# Sets keep the first one, in the sandbox too.
#
# Who is hit: counts per step or per status, whose keys come as 1 from one record and as 1.0 or true
# from the next. The type of the last one decides what the host receives, and under which name it
# stands in JSON, so the same records in another order give other keys.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pydantic-monty==1.4.0" || exit 2
cat > "$folder/keys.py" <<'PYTHON'
import json
import sys

from pydantic_monty import Monty

CALLS = {
    '{1: "a"} | {1.0: "b"}': "{1.0: 'b'}",
    "dict.fromkeys([1, True])": "{True: None}",
    'json.dumps({1: "a", 1.0: "b"})': """'{"1.0": "b"}'""",
    "{1} | {1.0}": "{1}",
}
with Monty() as pool, pool.checkout() as session:
    seen = {call: repr(session.feed_run(f"import json\n{call}")) for call in CALLS}
    assigned = repr(session.feed_run('d = {1: "a"}\nd[1.0] = "b"\nd'))
in_python = {call: repr(eval(call, {"json": json})) for call in CALLS}
for call in CALLS:
    print(f"{call}\n    Python {in_python[call]}, sandbox {seen[call]}")
print(f"after an assignment: {assigned}")
different = [call for call in CALLS if seen[call] != in_python[call]]
as_stated = seen == CALLS and assigned == "{1.0: 'b'}" and len(different) == 3
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
"$folder/venv/bin/python" "$folder/keys.py"
