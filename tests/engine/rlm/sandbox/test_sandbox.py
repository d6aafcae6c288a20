"""The sandboxes: state of a session, errors, limits, and isolation from this process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from halo_engine.errors import SandboxLost
from halo_engine.rlm.sandbox.base import HostError, HostFunctions, Sandbox
from halo_engine.rlm.sandbox.bubblewrap import BubblewrapSandbox
from halo_engine.rlm.sandbox.monty import MontySandbox

SECRET = "do-not-show-4711"


KINDS = [MontySandbox, pytest.param(BubblewrapSandbox, marks=pytest.mark.bubblewrap)]
BOTH = pytest.mark.parametrize("kind", KINDS)
Kind = type[MontySandbox] | type[BubblewrapSandbox]


@pytest.fixture(scope="module", params=KINDS)
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


def output_of(sandbox: Sandbox, code: str) -> str:
    step = sandbox.run(code, FUNCTIONS)
    assert step.error is None, step.error
    return step.output


def error_of(sandbox: Sandbox, code: str) -> str:
    step = sandbox.run(code, FUNCTIONS)
    assert step.error is not None, step.output
    return step.error


def test_variables_are_kept_between_steps(own: MontySandbox) -> None:
    own.run("x = double(21)", FUNCTIONS)
    assert output_of(own, "print(x)") == "42\n"


def test_the_value_of_the_last_expression_is_output_if_nothing_is_printed(
    shared: Sandbox,
) -> None:
    assert output_of(shared, "double(4)").strip() == "8"


def test_modules_are_there_without_an_import(shared: Sandbox) -> None:
    code = (
        "print(Counter('aab').most_common(1), json.dumps({}), re.sub('a', 'b', 'a'), math.pi > 3)"
    )
    assert output_of(shared, code) == "[('a', 2)] {} b True\n"
    assert output_of(shared, "d = defaultdict(list); d[1] += [2]; print(dict(d))") == "{1: [2]}\n"


def test_modules_are_there_after_the_loss_of_a_session() -> None:
    sandbox = MontySandbox()
    try:
        with pytest.raises(SandboxLost):
            sandbox.load(b"no session")
        assert output_of(sandbox, "print(json.dumps([1]))") == "[1]\n"
        step = sandbox.run("x = 'a' * 10**10", FUNCTIONS)
        assert "Variables are as they were" in (step.error or "")
        assert output_of(sandbox, "print(math.floor(1.5))") == "1\n"
    finally:
        sandbox.close()


def test_a_step_says_how_to_see_what_of_its_output_is_not_shown(shared: Sandbox) -> None:
    step = shared.run("print('b' + 'x' * 20000 + 'e')", FUNCTIONS)
    assert len(step.output) < 8200
    assert "12003 characters cut: last_output(start=4000) shows them" in step.output
    assert step.printed == "b" + "x" * 20000 + "e\n"
    assert len(shared.run("print('x' * 300000)", FUNCTIONS).printed) == 200_000


def test_output_before_an_error_is_kept(shared: Sandbox) -> None:
    step = shared.run("print('first')\n1 / 0", FUNCTIONS)
    assert step.output == "first\n"
    assert "ZeroDivisionError" in (step.error or "")


@pytest.mark.parametrize("last", ["x = = 2", "del x"])
def test_of_code_that_is_not_parsed_nothing_has_run(last: str, own: MontySandbox) -> None:
    error = error_of(own, f"x = 1\nprint('ran')\n{last}")
    assert "Nothing of this code has run." in error
    assert "The lines before" not in error
    assert "not defined" in error_of(own, "print(x)")


def test_of_code_that_fails_the_lines_before_have_run(own: MontySandbox) -> None:
    assert "The lines before it have run" in error_of(own, "x = 1\nunknown()")
    assert output_of(own, "print(x)") == "1\n"


def test_the_message_of_a_host_error_reaches_the_model(shared: Sandbox) -> None:
    assert "not like this, but like that" in error_of(shared, "refuse()")


def test_a_host_error_can_be_caught_as_a_value_error(shared: Sandbox) -> None:
    assert (
        output_of(shared, "try:\n    refuse()\nexcept ValueError:\n    print('caught')")
        == "caught\n"
    )


def test_the_error_for_an_unknown_function_lists_the_known_ones(shared: Sandbox) -> None:
    error = error_of(shared, "triple(3)")
    assert "'triple' is not defined" in error
    assert "double, refuse" in error


def test_output_that_is_too_long_keeps_its_beginning_and_its_end(shared: Sandbox) -> None:
    output = output_of(shared, "for n in range(100000):\n    print(n)")
    assert output.startswith("0\n1\n")
    assert output.endswith("99999\n")
    assert "characters cut" in output
    assert len(output) < 11_000


def test_a_session_is_continued_in_another_process(own: MontySandbox) -> None:
    own.run("x = [1, {'a': 2}]\ndef f(n): return n + 1", FUNCTIONS)
    session = own.dump()
    assert session
    other = MontySandbox()
    try:
        other.load(session)
        assert output_of(other, "print(x, f(1))") == "[1, {'a': 2}] 2\n"
    finally:
        other.close()


def test_the_same_code_gives_the_same_results_in_every_session() -> None:
    code = "import random, datetime\nprint(random.random(), datetime.datetime.now())"
    outputs = []
    for _ in range(2):
        sandbox = MontySandbox()
        outputs.append(output_of(sandbox, code))
        sandbox.close()
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("code", ["x = 'a' * 10**12", "def f(n): return f(n + 1)\nf(0)"])
def test_a_step_that_exceeds_a_limit_does_not_change_the_session(
    code: str, own: MontySandbox
) -> None:
    own.run("x = 1", FUNCTIONS)
    assert "Variables are as they were" in error_of(own, f"x = 2\n{code}")
    assert output_of(own, "print(x)") == "1\n"


def test_the_session_is_restored_if_its_worker_is_killed(own: MontySandbox) -> None:
    own.run("x = 1", FUNCTIONS)
    os.kill(own.worker_pid, 9)
    assert "The sandbox died" in error_of(own, "print(x)")
    assert output_of(own, "print(x)") == "1\n"


ENDLESS = "while True: pass"


@BOTH
def test_an_endless_step_is_stopped(kind: Kind) -> None:
    sandbox = kind(seconds=0.5)
    try:
        assert "time limit" in error_of(sandbox, ENDLESS) or kind is BubblewrapSandbox
        assert output_of(sandbox, "print(1)") == "1\n"
    finally:
        sandbox.close()


# Each tries to reach something outside. None may output it, change it, or end this process.
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
    "fork": "import os\nos.fork()",
    "threads": "import threading\nthreading.Thread(target=print).start()",
    "unpickle": "import pickle\nprint(pickle.loads(b\"cbuiltins\\nlen\\n(S'abc'\\ntR.\"))",
    "standard input": "print(input())",
    "garbage collector": "import gc\nprint(gc.get_objects())",
    "memory": "x = [0] * 10**10",
    "more than can be kept": "x = ['y' * 10**6 + str(n) for n in range(300)]",
    "a large power": "print(len(str(9 ** 9 ** 9)))",
    "repetition in a repetition": "import re\nprint(re.match('(a+)+$', 'aab'))",
    "a deep structure": "x = []\nfor n in range(10**6): x = [x]\nprint(x)",
    "a format string": "print('{{0.__class__.__mro__}}'.format(double))",
    "the root by mistake": "print(open('../../../../{secret}').read())",
    "half a message to the host": "import os\nos.write(1, b'{{')\nwhile True: pass",
    "nonsense to the host": "import os\nos.write(1, b'nonsense\\n')\nwhile True: pass",
    "a forged call": (
        'import os\nos.write(1, b\'{{"call": "open", "positional": ["{secret}"]}}\\n\')'
    ),
    "a forged call without sense": 'import os\nos.write(1, b\'{{"call": [], "named": 5}}\\n\')',
    "a message nested deeply": "import os\nos.write(1, b'[' * 100000 + b'\\n')",
    "a forged end": 'import os\nos.write(1, b\'{{"output": [1], "error": 5}}\\n\')',
    "half an emoji": "print('\\ud83d')",
    "an endless message to the host": "import os\nwhile True: os.write(1, b'x' * 10**6)",
    "null byte": "open('a\\0b')",
}


@BOTH
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_cannot_read_or_change_anything_and_the_session_continues(
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
            sandbox.run("pass", FUNCTIONS)  # a forged message can cost this step
            assert output_of(sandbox, "print(1 + 1)") == "2\n"
        finally:
            sandbox.close()
        with pytest.raises(TimeoutError):
            server.accept()
    assert SECRET not in step.output + (step.error or "")
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]
    assert secret.read_text(encoding="utf-8") == SECRET


def test_a_session_too_large_to_dump_is_restored_to_the_previous_step(own: MontySandbox) -> None:
    assert own.run("kept = 1", {}).error is None
    step = own.run("x = ['y' * 10**6 + str(n) for n in range(300)]", {})
    assert "Variables are as they were before" in (step.error or "")
    assert output_of(own, "print(kept)") == "1\n"
