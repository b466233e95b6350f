"""Functions of users that end, print, break and hold on: an answer or a TargetError."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from waiting import until

from recsec.data.catalog import Catalog
from recsec.errors import TargetError
from recsec.targets import CallableTarget

HISTORIES = np.array([[1, 2], [3, 0]])
RIGHT = [[3, 4], [4, 5]]
GOOD = """
def good(histories, k):
    return [[h[-1] + step for step in range(1, k + 1)] for h in histories]
"""

ENDS = {
    "sys.exit(0)": "ended the process instead of answering: sys.exit(0)",
    "sys.exit('bye')": "ended the process instead of answering: sys.exit('bye')",
    "raise KeyboardInterrupt": "failed\nKeyboardInterrupt",
    "raise GeneratorExit": "failed\nGeneratorExit",
    "raise BaseException('all')": "failed\nBaseException: all",
    "raise MemoryError": "failed\nMemoryError",
    "answer(histories, k)": "failed\nRecursionError",
    "os._exit(0)": "ended its process with exit status 0 while it was asked about 2 histories",
    "os._exit(7)": "ended its process with exit status 7 while it was asked",
    "os.kill(os.getpid(), signal.SIGKILL)": "was ended by SIGKILL, as when memory runs out",
    "os.kill(os.getpid(), signal.SIGTERM)": "was ended by SIGTERM while it was asked",
    "os.abort()": "was ended by SIGABRT while it was asked",
    "import ctypes; ctypes.string_at(0)": "was ended by SIGSEGV while it was asked",
    "os.closerange(3, 64)": "closed its connection to recsec, or wrote over it",
    "[os.write(fd, b'x' * 99) for fd in range(4, 9) if writable(fd)]": "wrote over it",
    "input()": "failed\nEOFError",
    "raise Silent": "failed\nSilent: (its text cannot be read)",
    r"raise ValueError('\x1b[2J\u202e\x9b')": "failed\nValueError: \\x1b[2J\\u202e\\x9b",
    "raise ValueError('x' * 10**7)": "xxx... (10,000,000 characters)",
}
ANSWERS = {
    "None": "answered NoneType",
    "{'items': []}": "answered dict",
    "b'ab'": "answered bytes",
    "(row for row in histories)": "answered generator",
    "[{1, 2}, set()]": "answered {1, 2}; expected a list",
    "[[1.5], []]": "1.5 (float) is not an item id",
    "[[float('nan')], []]": "nan (float) is not an item id",
    "[[None], [True]]": "None (NoneType) is not an item id",
    "[[object], []]": "<class 'object'> (type) is not an item id",
    "[[2**70, 0], []]": "unknown item",
    "[[-1, -2], []]": "unknown item",
    "[[10**9000], []]": "failed\nValueError",
    "cycle": "failed\nValueError: Circular reference",
    "[Loud()]": "failed\nRuntimeError: no words for me",
    "[range(10**11), []]": "failed\n",
    "['x' * (1 << 28)]": "failed\nValueError: an answer of 268,435,",
}
LIVES = [
    "print('words')",
    "os.write(1, b'words')",
    "sys.__stdout__.write('words'); sys.__stdout__.flush()",
    "subprocess.run(['echo', 'words'])",
    "ctypes.CDLL(None).puts(b'words'); ctypes.CDLL(None).fflush(None)",
    "print('long ' * 200_000)",
    "sys.stdout.close(); os.closerange(0, 2)",
    "sys.stdout = sys.stderr = None",
    "os.closerange(0, 3)",
    "os.chdir('/'); os.environ.clear(); sys.path.clear()",
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "sys.setrecursionlimit(200); import gc; gc.disable()",
    "threading.Thread(target=time.sleep, args=(60,)).start()",
    "subprocess.Popen(['sleep', '60'])",
    "os.fork()",
    "os.fork() or time.sleep(60)",
    "os.fork() or os.execvp('sleep', ['sleep', '60'])",
    "multiprocessing.get_context('spawn').Process(target=print, args=('words',)).start()",
    "import torch; torch.set_default_dtype(torch.float64); torch.set_grad_enabled(False)",
    "import numpy; numpy.seterr(all='raise'); numpy.random.seed(1)",
    "import random; random.seed(1)",
    "import warnings; warnings.simplefilter('error'); warnings.resetwarnings()",
    "import locale; locale.setlocale(locale.LC_ALL, 'C')",
    "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
]
WORLD = """
import ctypes, multiprocessing, os, signal, subprocess, sys, threading, time

cycle = []
cycle.append(cycle)


class Silent(Exception):
    def __str__(self):
        raise ValueError


class Loud:
    def __repr__(self):
        raise RuntimeError("no words for me")


def writable(fd):
    import fcntl
    try:
        return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_WRONLY
    except OSError:
        return False

"""


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """Write a module of the user into the current directory."""
    monkeypatch.chdir(tmp_path)

    def write(body: str, name: str = "their_shop") -> str:
        (tmp_path / f"{name}.py").write_text(body)
        return f"callable:{name}:answer"

    return write


@pytest.fixture
def catalog():
    return Catalog.from_ids(range(1, 41))


def answering(line: str) -> str:
    return (
        f"{WORLD}{GOOD}\n\ndef answer(histories, k):\n    {line}\n    return good(histories, k)\n"
    )


@pytest.mark.hostile(kind="callable", what="a function that ends or breaks its process")
@pytest.mark.parametrize("line", ENDS)
def test_an_end_is_told_and_the_next_call_begins_anew(module, catalog, line):
    spec = module(answering(f"if len(histories) > 1:\n        {line}"))
    target = CallableTarget.from_spec(spec, catalog)
    for _ in range(2):
        with pytest.raises(TargetError) as caught:
            target.query("a", HISTORIES, 2)
        assert ENDS[line] in str(caught.value)
        assert len(str(caught.value)) < 5000
        assert target.query("a", HISTORIES[:1], 2).tolist() == RIGHT[:1]


@pytest.mark.hostile(kind="callable", what="an answer that is no list of lists of ids")
@pytest.mark.parametrize("value", ANSWERS)
def test_an_answer_of_another_shape_is_named(module, catalog, value):
    target = CallableTarget.from_spec(
        module(f"{WORLD}\n\ndef answer(histories, k):\n    return {value}\n"), catalog
    )
    with pytest.raises(TargetError) as caught:
        target.query("a", HISTORIES, 2)
    assert ANSWERS[value] in str(caught.value)


def state_of_this_process():
    import locale
    import random
    import warnings

    import torch

    return {
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
        "path": list(sys.path),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "files": [os.fstat(number).st_ino for number in range(3)],
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "warnings": list(warnings.filters),
        "locale": locale.setlocale(locale.LC_ALL),
        "random": random.getstate(),
        "numpy random": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "torch random": torch.get_rng_state().tolist(),
        "numpy errors": np.geterr(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "grad": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "recursion": sys.getrecursionlimit(),
    }


@pytest.mark.hostile(kind="callable", what="a function that prints, sets, closes or leaves behind")
@pytest.mark.parametrize("line", LIVES)
def test_what_it_does_to_its_process_reaches_nobody(module, catalog, capfd, line):
    target = CallableTarget.from_spec(module(answering(line)), catalog)
    before = state_of_this_process()
    began = time.monotonic()
    for _ in range(2):
        assert target.query("a", HISTORIES, 2).tolist() == RIGHT
    assert state_of_this_process() == before
    assert time.monotonic() - began < 50, "it waited for what sleeps for a minute"
    shown = capfd.readouterr()
    assert shown.out == ""
    if "'words'" in line and "spawn" not in line:
        assert "words" in shown.err


INSIDE = [
    line
    for line in LIVES
    if not any(word in line for word in ("fork", "Thread", "Popen", "spawn", "os.close", "rlimit"))
]


@pytest.mark.hostile(kind="callable", what="the same, handed over as an object in this process")
@pytest.mark.parametrize("line", [*INSIDE, "torch.set_default_device('meta')"])
def test_a_function_of_this_process_leaves_it_as_it_was(catalog, capfd, line):
    scope: dict[str, object] = {}
    exec(answering(line).replace("\n    torch.", "\n    import torch; torch."), scope)
    target = CallableTarget(scope["answer"], catalog)
    before = state_of_this_process()
    for _ in range(2):
        assert target.query("a", HISTORIES, 2).tolist() == RIGHT
    assert state_of_this_process() == before
    shown = capfd.readouterr()
    assert shown.out == ""
    assert ("words" in shown.err) == ("words" in line)


@pytest.mark.hostile(kind="callable", what="exits of a function in this process")
@pytest.mark.parametrize("line", ["sys.exit(0)", "raise KeyboardInterrupt", "raise GeneratorExit"])
def test_an_exit_of_a_function_of_this_process_is_an_error(catalog, line):
    scope: dict[str, object] = {}
    exec(answering(line), scope)
    with pytest.raises(TargetError, match="answer ended the process instead of answering"):
        CallableTarget(scope["answer"], catalog).query("a", HISTORIES, 2)


def test_random_numbers_of_a_function_of_this_process_go_on(catalog):
    def answer(histories, k):
        return [np.random.permutation(40)[:k] + 1 for _ in histories]  # noqa: NPY002

    target = CallableTarget(answer, catalog)
    first, second = (target.query("a", HISTORIES, 5).tolist() for _ in range(2))
    assert first != second, "randomness must stay visible to the pre-flight check"


@pytest.mark.hostile(kind="callable", what="Ctrl-C while the function works")
def test_ctrl_c_is_the_users_and_prints_no_traceback(module, tmp_path):
    spec = module(answering("open('began', 'w').close(); time.sleep(60)"))
    script = textwrap.dedent(f"""
        import numpy as np
        from recsec.data.catalog import Catalog
        from recsec.targets import CallableTarget
        target = CallableTarget.from_spec({spec!r}, Catalog.from_ids(range(1, 41)))
        try:
            target.query("a", np.array([[1, 2]]), 2)
        except KeyboardInterrupt:
            print("interrupted")
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until((tmp_path / "began").exists)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=50)
    assert (process.returncode, out, err) == (0, "interrupted\n", "")


@pytest.mark.hostile(kind="callable", what="the parent is killed while the function works")
def test_the_process_ends_with_its_parent(module, tmp_path):
    spec = module(answering("open('began', 'w').write(str(os.getpid())); time.sleep(60)"))
    script = textwrap.dedent(f"""
        import numpy as np
        from recsec.data.catalog import Catalog
        from recsec.targets import CallableTarget
        target = CallableTarget.from_spec({spec!r}, Catalog.from_ids(range(1, 41)))
        target.query("a", np.array([[1, 2]]), 2)
    """)
    process = subprocess.Popen([sys.executable, "-c", script])
    until(lambda: (tmp_path / "began").exists() and (tmp_path / "began").read_text())
    process.kill()
    process.wait()
    theirs = int((tmp_path / "began").read_text())
    until(lambda: not alive(theirs), "the end of the user's process")


def alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_the_users_lines_come_before_those_of_a_library(module, catalog):
    target = CallableTarget.from_spec(
        module("import json\n\n\ndef answer(histories, k):\n    return json.loads('{')\n"), catalog
    )
    with pytest.raises(TargetError) as caught:
        target.query("a", HISTORIES, 2)
    lines = str(caught.value).splitlines()
    assert lines[0] == "their_shop:answer failed"
    assert "their_shop.py:5 in answer: return json.loads('{')" in lines[2]
    assert "json/decoder.py" in lines[3]
    assert len(lines) == 4


SHOP = "\n".join(
    ["user,item,time", *(f"{u},{(u + 7 * s) % 30 + 1},{s}" for u in range(40) for s in range(8))]
)


@pytest.fixture
def command(module, tmp_path):
    """Run ``recsec`` as a user does."""
    (tmp_path / "log.csv").write_text(SHOP + "\n")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "recsec", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.mark.hostile(kind="callable", what="a module that ends the process when it is imported")
@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)"])
def test_a_module_without_a_main_guard_is_no_success(command, module, end):
    spec = module(f"import os, sys\n{GOOD}\nanswer = good\nprint('smoke test passed')\n{end}\n")
    ended = command("evaluate", "--model", spec, "--data", "log.csv", "--json")
    assert ended.returncode == 3
    assert "smoke test passed" in ended.stderr
    error = json.loads(ended.stdout)["error"]
    assert "while it was imported" in error["message"]
    assert "__main__" in error["hint"] or "_exit" in end


@pytest.mark.hostile(kind="callable", what="a function that prints while --json is asked for")
def test_prints_stay_out_of_the_json(command, module):
    body = "print('Loading ...')\n" + answering("print('scoring'); os.write(1, b'more')")
    spec = module(body.replace("h[-1] + step", "(h[-1] + step) % 30 + 1"))
    ended = command("evaluate", "--model", spec, "--data", "log.csv", "--json", "--k", "2", "-q")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["model"] == spec
    assert "Loading ..." in ended.stderr
    assert "scoring" in ended.stderr


@pytest.mark.hostile(kind="callable", what="a verdict of throttle that ends the process")
@pytest.mark.parametrize("line", ["sys.exit(0)", "os._exit(0)"])
def test_a_verdict_lives_behind_the_same_wall(module, line, tmp_path):
    from recsec.targets.guards import Surroundings, build_guards

    module(f"import os, sys\n\n\ndef answer(account, histories):\n    {line}\n")
    (guard,) = build_guards(
        [{"name": "throttle", "verdict": "their_shop:answer"}], Surroundings(None)
    )
    import torch

    with pytest.raises(TargetError, match=r"their_shop:answer ended (the|its) process"):
        guard.answer("a", HISTORIES, torch.rand(2, 41), 3)


PLAN = """
title = "tiny"
[target]
model = "callable:their_shop:answer"
data = "log.csv"
twins = 0
[[extraction]]
policies = "random"
k = 5
calls = 100
seeds = 0
sessions = 10
length = 10
surrogate = "meanpool"
surrogate_settings = { epochs = 1, embedding_dim = 8, max_length = 10 }
"""


@pytest.mark.hostile(kind="callable", what="a function that ends the process in the middle")
@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)"])
def test_an_audit_whose_target_ends_itself_gives_no_verdict(command, module, tmp_path, end):
    (tmp_path / "plan.toml").write_text(PLAN)
    module(
        "import os, sys\nasked = 0\n\n\ndef answer(histories, k):\n    global asked\n"
        f"    asked += 1\n    if asked > 4:\n        {end}\n"
        "    return [[(h[-1] + j) % 30 + 1 for j in range(30)][:k] for h in histories]\n"
    )
    ended = command("audit", "plan.toml", "--out", "audit.run", "-q")
    assert ended.returncode == 3, "the target is at fault in every cell"
    assert "their_shop:answer ended" in " ".join((ended.stdout + ended.stderr).split())
