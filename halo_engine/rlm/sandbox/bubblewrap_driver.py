"""Runs inside the bubblewrap sandbox: takes code, gives back what it printed. Standard library only.

One JSON object a line. In: ``{"code": ..., "names": [...]}``, and answers to calls,
``{"return": ...}`` or ``{"error": ...}``. Out: ``{"call": name, "args": [...], "kwargs": {...}}``,
and at the end of a step ``{"output": ..., "error": ...}``.
"""

import ast
import io
import json
import resource
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

Send = Callable[[dict[str, Any]], None]

MEMORY_BYTES = 1_000_000_000
OUTPUT_CHARS = 2_000_000


class Output(io.StringIO):
    """Keeps the beginning of what is printed."""

    def write(self, text: str) -> int:
        """Take some text."""
        room = OUTPUT_CHARS - self.tell()
        super().write(text[: max(0, room)])
        return len(text)


def main(lines: Iterator[str], send: Send) -> None:
    """Serve steps until the input ends."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for line in lines:
        request = json.loads(line)
        for name in request["names"]:
            namespace[name] = calling(name, lines, send)
        send(step(request["code"], namespace))


def calling(name: str, lines: Iterator[str], send: Send) -> Callable[..., Any]:
    """The host function ``name`` as code can call it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        send({"call": name, "args": args, "kwargs": kwargs})
        answer = json.loads(next(lines))
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["return"]

    return call


def step(code: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """Run one block; the value of a last expression is shown where nothing was printed."""
    output, error = Output(), None
    with redirect_stdout(output), redirect_stderr(output):
        try:
            value = run(code, namespace)
            if value is not None and not output.getvalue():
                print(repr(value))  # noqa: T201
        except BaseException:  # noqa: BLE001 - whatever the code does is told to its author
            error = traceback.format_exc(limit=-3)
    return {"output": output.getvalue(), "error": error}


def run(code: str, namespace: dict[str, Any]) -> Any:
    """Execute ``code``; the value of its last line where that is an expression."""
    tree = ast.parse(code)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body.pop()
    exec(compile(tree, "step.py", "exec"), namespace)  # noqa: S102 - what the sandbox is for
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), "step.py", "eval"), namespace)  # noqa: S307


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEMORY_BYTES // 10, MEMORY_BYTES // 10))
    real = sys.stdout

    def send(value: dict[str, Any]) -> None:
        """One object to the host."""
        real.write(json.dumps(value, default=str) + "\n")
        real.flush()

    main(iter(sys.stdin.readline, ""), send)
