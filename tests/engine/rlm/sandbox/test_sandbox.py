"""The session in which a model's code runs: what it keeps, what it says, what it keeps out."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from halo_engine.rlm.sandbox.base import HostError, HostFunctions, Sandbox
from halo_engine.rlm.sandbox.bubblewrap import BubblewrapSandbox
from halo_engine.rlm.sandbox.monty import MontySandbox

SECRET = "do-not-show-4711"


BOTH = pytest.mark.parametrize("kind", [MontySandbox, BubblewrapSandbox])
Kind = type[MontySandbox] | type[BubblewrapSandbox]


@pytest.fixture(scope="module", params=[MontySandbox, BubblewrapSandbox])
def shared(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    sandbox = request.param()
    yield sandbox
    sandbox.close()


@pytest.fixture
def own() -> Iterator[MontySandbox]:
    sandbox = MontySandbox()
    yield sandbox
    sandbox.close()


def double(number: int) -> int:
    return 2 * number


def refuse() -> None:
    raise HostError("not like this, but like that")


FUNCTIONS: HostFunctions = {"double": double, "refuse": refuse}


def out(sandbox: Sandbox, code: str) -> str:
    step = sandbox.run(code, FUNCTIONS)
    assert step.error is None, step.error
    return step.output


def wrong(sandbox: Sandbox, code: str) -> str:
    step = sandbox.run(code, FUNCTIONS)
    assert step.error is not None, step.output
    return step.error


def test_variables_stay_from_step_to_step(own: MontySandbox) -> None:
    own.run("x = double(21)", FUNCTIONS)
    assert out(own, "print(x)") == "42\n"


def test_the_value_of_a_last_expression_is_shown_where_nothing_is_printed(
    shared: Sandbox,
) -> None:
    assert out(shared, "double(4)").strip() == "8"


def test_what_is_printed_before_an_error_is_kept(shared: Sandbox) -> None:
    step = shared.run("print('first')\n1 / 0", FUNCTIONS)
    assert step.output == "first\n"
    assert "ZeroDivisionError" in (step.error or "")


def test_a_host_function_says_how_it_is_called(shared: Sandbox) -> None:
    assert "not like this, but like that" in wrong(shared, "refuse()")


def test_an_error_of_a_host_function_can_be_caught(shared: Sandbox) -> None:
    assert out(shared, "try:\n    refuse()\nexcept ValueError:\n    print('caught')") == "caught\n"


def test_a_name_that_is_no_function_is_told_the_functions_there_are(shared: Sandbox) -> None:
    error = wrong(shared, "triple(3)")
    assert "'triple' is not defined" in error
    assert "double, refuse" in error


def test_output_that_is_too_long_keeps_its_beginning_and_its_end(shared: Sandbox) -> None:
    shown = out(shared, "for n in range(100000):\n    print(n)")
    assert shown.startswith("0\n1\n")
    assert shown.endswith("99999\n")
    assert "characters cut" in shown
    assert len(shown) < 11_000


def test_a_session_goes_on_in_another_process(own: MontySandbox) -> None:
    own.run("x = [1, {'a': 2}]\ndef f(n): return n + 1", FUNCTIONS)
    session = own.dump()
    assert session
    other = MontySandbox()
    try:
        other.load(session)
        assert out(other, "print(x, f(1))") == "[1, {'a': 2}] 2\n"
    finally:
        other.close()


def test_the_same_code_gives_the_same_results_in_every_session() -> None:
    code = "import random, datetime\nprint(random.random(), datetime.datetime.now())"
    shown = []
    for _ in range(2):
        sandbox = MontySandbox()
        shown.append(out(sandbox, code))
        sandbox.close()
    assert shown[0] == shown[1]


@pytest.mark.parametrize("code", ["x = 'a' * 10**12", "def f(n): return f(n + 1)\nf(0)"])
def test_a_step_over_a_limit_leaves_the_session_as_it_was(code: str, own: MontySandbox) -> None:
    own.run("x = 1", FUNCTIONS)
    assert "Variables are as they were" in wrong(own, f"x = 2\n{code}")
    assert out(own, "print(x)") == "1\n"


def test_a_worker_that_is_killed_costs_one_step(own: MontySandbox) -> None:
    own.run("x = 1", FUNCTIONS)
    os.kill(own.worker_pid, 9)
    assert "The sandbox died" in wrong(own, "print(x)")
    assert out(own, "print(x)") == "1\n"


SLOW = "while True: pass"


@BOTH
def test_a_step_without_end_is_ended(kind: Kind) -> None:
    sandbox = kind(seconds=0.5)
    try:
        assert "time limit" in wrong(sandbox, SLOW) or kind is BubblewrapSandbox
        assert out(sandbox, "print(1)") == "1\n"
    finally:
        sandbox.close()


# Each reaches for something outside. None may show it, change it, or end our process.
ATTACKS = {
    "read a file": "print(open({secret!r}).read())",
    "read a file by pathlib": "from pathlib import Path\nprint(Path({secret!r}).read_text())",
    "write a file": "open({target!r}, 'w').write('x')",
    "write a file by pathlib": "from pathlib import Path\nPath({target!r}).write_text('x')",
    "make a folder": "import os\nos.mkdir({target!r})",
    "list a folder": "import os\nprint(os.listdir({folder!r}))",
    "walk folders": "import os\nprint(list(os.walk({folder!r})))",
    "remove a file": "import os\nos.remove({secret!r})",
    "rename a file": "import os\nos.rename({secret!r}, {target!r})",
    "environment": "import os\nprint(os.environ)",
    "one variable": "import os\nprint(os.getenv('HALO_TEST_SECRET'))",
    "a shell": "import os\nos.system('touch {target}')",
    "popen": "import os\nprint(os.popen('cat {secret}').read())",
    "subprocess": "import subprocess\nsubprocess.run(['touch', {target!r}])",
    "a socket": "import socket\nsocket.create_connection(('127.0.0.1', {port}))",
    "a URL": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}')",
    "an HTTP client": "import http.client\nhttp.client.HTTPConnection('127.0.0.1', {port})",
    "another library": "import httpx\nhttpx.get('http://127.0.0.1:{port}')",
    "C": "import ctypes\nctypes.CDLL(None).system(b'touch {target}')",
    "this package": "import halo_engine\nprint(halo_engine)",
    "import by name": "__import__('os').system('touch {target}')",
    "importlib": "import importlib\nimportlib.import_module('subprocess')",
    "builtins": "import builtins\nprint(builtins.open({secret!r}).read())",
    "eval": "eval(\"__import__('os').system('touch {target}')\")",
    "exec": "exec(\"import os; os.system('touch {target}')\")",
    "compile": "exec(compile('import os', 'x', 'exec'))",
    "classes of everything": "print(().__class__.__bases__[0].__subclasses__())",
    "globals of a host function": "print(double.__globals__)",
    "code of a host function": "print(double.__code__)",
    "the module of a host function": "print(double.__module__)",
    "frames": "import sys\nprint(sys._getframe().f_back)",
    "frames of an error": (
        "try:\n    refuse()\nexcept ValueError as e:\n    print(e.__traceback__.tb_frame)"
    ),
    "modules": "import sys\nprint(sys.modules)",
    "arguments": "import sys\nprint(sys.argv, sys.path)",
    "end the process": "import os\nos._exit(1)",
    "leave": "import sys\nsys.exit(1)",
    "signal": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "fork": "import os\nwhile True: os.fork()",
    "threads": "import threading\nthreading.Thread(target=print).start()",
    "unpickle": "import pickle\npickle.loads(b\"cos\\nsystem\\n(S'touch {target}'\\ntR.\")",
    "standard input": "print(input())",
    "garbage collector": "import gc\nprint(gc.get_objects())",
    "memory": "x = [0] * 10**10",
    "more than can be kept": "x = ['y' * 10**6 + str(n) for n in range(300)]",
    "a large power": "print(len(str(9 ** 9 ** 9)))",
    "a slow pattern": "import re\nre.match('(a+)+$', 'a' * 40 + 'b')",
    "a deep structure": "x = []\nfor n in range(10**6): x = [x]\nprint(x)",
    "a format string": "print('{{0.__class__.__mro__}}'.format(double))",
    "the root by mistake": "print(open('../../../../{secret}').read())",
    "half a word to the host": "import os\nos.write(1, b'{{')\nwhile True: pass",
    "nonsense to the host": "import os\nos.write(1, b'nonsense\\n')\nwhile True: pass",
    "a call that nobody made": (
        'import os\nos.write(1, b\'{{"call": "open", "args": ["{secret}"]}}\\n\')'
    ),
    "endless words to the host": "import os\nwhile True: os.write(1, b'x' * 10**6)",
    "null byte": "open('a\\0b')",
}


@BOTH
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_shows_nothing_changes_nothing_and_ends_nothing(
    name: str, kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALO_TEST_SECRET", SECRET)
    secret, target = tmp_path / "secret.txt", tmp_path / "target"
    secret.write_text(SECRET, encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        places = {"secret": str(secret), "target": str(target), "folder": str(tmp_path)}
        code = ATTACKS[name].format(**places, port=server.getsockname()[1])
        sandbox = kind(seconds=1.0)
        try:
            step = sandbox.run(code, FUNCTIONS)
            sandbox.run("pass", FUNCTIONS)  # whoever muddles the words between us loses a step
            assert out(sandbox, "print(1 + 1)") == "2\n"
        finally:
            sandbox.close()
        with pytest.raises(TimeoutError):
            server.accept()
    assert SECRET not in step.output + (step.error or "")
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]
    assert secret.read_text(encoding="utf-8") == SECRET


def test_a_session_too_large_to_be_kept_goes_back_to_the_step_before(own: MontySandbox) -> None:
    assert own.run("kept = 1", {}).error is None
    step = own.run("x = ['y' * 10**6 + str(n) for n in range(300)]", {})
    assert "Variables are as they were before" in (step.error or "")
    assert out(own, "print(kept)") == "1\n"
