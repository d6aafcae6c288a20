"""The driver inside the bubblewrap sandbox: executes code. Uses the standard library only.

Messages are JSON objects, one a line. Input: ``{"code": ..., "names": [...]}``, and replies to
calls, ``{"return": ...}`` or ``{"error": ...}``. Output: ``{"call": name, "positional": [...],
"named": {...}}``, and at the end of a step ``{"output": ..., "error": ...}``.
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
    """Printed output, cut to the first ``OUTPUT_CHARS`` characters."""

    def write(self, text: str) -> int:
        """Append ``text`` as far as there is room; returns its whole length."""
        room = OUTPUT_CHARS - self.tell()
        super().write(text[: max(0, room)])
        return len(text)


def main(lines: Iterator[str], send: Send, prelude: str) -> None:
    """Execute a step for each request until the input ends; ``prelude`` is code to run before."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(prelude, namespace)  # noqa: S102 - what the sandbox is for
    for line in lines:
        request = json.loads(line)
        for name in request["names"]:
            namespace[name] = host_function(name, lines, send)
        send(step(request["code"], namespace))


def host_function(name: str, lines: Iterator[str], send: Send) -> Callable[..., Any]:
    """The host function ``name`` as code can call it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        send({"call": name, "positional": args, "named": kwargs})
        reply = json.loads(next(lines))
        if "error" in reply:
            raise ValueError(reply["error"])
        return reply["return"]

    return call


def step(code: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """Run one block of code; if it prints nothing, the value of its last expression is output."""
    output, error = Output(), None
    with redirect_stdout(output), redirect_stderr(output):
        try:
            value = execute(code, namespace)
            if value is not None and not output.getvalue():
                print(repr(value))  # noqa: T201
        except BaseException:  # noqa: BLE001 - whatever the code raises is reported to the model
            error = traceback.format_exc(limit=-3)
    return {"output": output.getvalue(), "error": error}


def execute(code: str, namespace: dict[str, Any]) -> Any:
    """Execute ``code``; returns the value of its last statement if that is an expression."""
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
        """Write one message to the host."""
        real.write(json.dumps(value, default=str) + "\n")
        real.flush()

    main(iter(sys.stdin.readline, ""), send, sys.argv[1])
