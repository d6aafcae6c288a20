#!/bin/sh
# pydantic-monty 1.4.0: round(x, 2) does not round as Python does. Of the 2,000 values 0.005, 0.015,
# ... 19.995, it answers differently for 824:
#
#   round(0.005, 2)   Python 0.01   in the sandbox 0.0
#   round(0.015, 2)   Python 0.01   in the sandbox 0.02
#   round(2.675, 2)   Python 2.67   in the sandbox 2.68
#
# format() with ".2f" agrees with Python for all of them, so within one program in the sandbox
# round(x, 2) and f"{x:.2f}" contradict each other. Nothing is raised.
#
# Who is hit: whoever lets a model's code add up costs or shares in the sandbox, and compares the
# figures with those of the host, or the rounded ones with the printed ones.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pydantic-monty==1.4.0" || exit 2
cat > "$folder/rounding.py" <<'PYTHON'
import sys

from pydantic_monty import Monty

halves = [thousandths / 1000 for thousandths in range(5, 20_000, 10)]
code = "[round(x, 2) for x in values], [float(f'{x:.2f}') for x in values]"
with Monty() as pool, pool.checkout() as session:
    rounded, formatted = session.feed_run(code, inputs={"values": halves})
different = {x: y for x, y in zip(halves, rounded) if y != round(x, 2)}
print(f"round(x, 2) differs for {len(different)} of {len(halves)} values")
for x in (0.005, 0.015, 2.675):
    print(f"round({x}, 2): Python {round(x, 2)}, sandbox {different.get(x, 'the same')}")
agrees = formatted == [float(f"{x:.2f}") for x in halves]
print("f'{x:.2f}' agrees with Python" if agrees else "f'{x:.2f}' differs as well")
as_stated = (
    len(different) == 824
    and [different.get(x) for x in (0.005, 0.015, 2.675)] == [0.0, 0.02, 2.68]
    and agrees
)
sys.exit(0 if as_stated else "The behaviour has changed.")
PYTHON
"$folder/venv/bin/python" "$folder/rounding.py"
