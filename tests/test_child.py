"""A file that ends its process is a failure in one line, not silence and success."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from comparisons.cli import main
from comparisons.subject import child
from comparisons.subject.child import in_a_child

pytestmark = pytest.mark.apart

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the file runs in the same process")
# The module alone, without torch, and a command that runs some code.
COMMAND = """
import atexit, ctypes, os, runpy, signal, subprocess, sys, time
# Where the tests run in the background of a shell, it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
in_a_child = runpy.run_path({path!r})["in_a_child"]

def main(arguments):
    {code}

sys.exit(in_a_child(main, ["check", "--target=mine.py:f"]))
"""


def command(code):
    return [sys.executable, "-c", COMMAND.format(path=child.__file__, code=code)]


def run(code):
    return subprocess.run(command(code), capture_output=True, text=True, timeout=60)


ENDINGS = {
    "os._exit(0)": ("os._exit(0)", "ended the process itself, with exit status 0"),
    "os._exit(1)": ("os._exit(1)", "ended the process itself, with exit status 1"),
    "a segmentation fault": ("ctypes.string_at(0)", "crashed the process: SIGSEGV, segmentation fault"),
    "an abort": ("os.abort()", "crashed the process: SIGABRT, aborted"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "crashed the process: SIGKILL, killed"),
    "all files closed": ("os.closerange(3, 99); os._exit(0)", "ended the process itself, with exit status 0"),
}


@linux
@pytest.mark.parametrize(("code", "said"), ENDINGS.values(), ids=ENDINGS)
def test_what_ends_the_process_is_one_line_and_exit_2(code, said):
    done = run(code)
    assert done.returncode == 2
    assert done.stderr == f"handnet check: mine.py:f {said}; nothing was judged\n"
    assert done.stdout == ""


STATUSES = {
    "a match": ("return 0", 0),
    "a mismatch": ("return 1", 1),
    "bad input": ("return 2", 2),
    "a wrong option": ("sys.exit(2)", 2),
    "an exit without a number": ("sys.exit('no')", 1),
    "an exception": ("raise RuntimeError", 1),
    "an end at exit": ("atexit.register(os._exit, 7); return 0", 0),
    "a crash at exit": ("atexit.register(os.abort); return 1", 1),
    "a program that stays": ("subprocess.Popen(['sleep', '30'], close_fds=False, stderr=-3, stdout=-3); return 0", 0),
}


@linux
@pytest.mark.parametrize(("code", "status"), STATUSES.values(), ids=STATUSES)
def test_the_status_is_that_of_the_command(code, status):
    start = f"print('said', flush=True); {code}"
    done = run(start)
    assert done.returncode == status
    assert "nothing was judged" not in done.stderr
    assert done.stdout == "said\n"


@linux
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda sent: sent.name)
def test_what_asks_the_command_to_end_ends_the_file_too(sent):
    asked = subprocess.Popen(command("print(os.getpid(), flush=True); time.sleep(60)"), stdout=-1, stderr=-3, text=True)
    child = int(asked.stdout.readline())
    assert child != asked.pid
    asked.send_signal(sent)
    assert asked.wait(timeout=60) == {signal.SIGKILL: -sent, signal.SIGTERM: 2, signal.SIGINT: 1}[sent]
    asked.stdout.close()
    for _ in range(1000):
        if not _runs(child):
            return
        time.sleep(0.01)
    raise AssertionError("the file runs on")


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@linux
def test_the_command_line_runs_somebodys_file_apart(tmp_path):
    (tmp_path / "mine.py").write_text("import os\ndef f(w, x, t): os._exit(0)\n")
    run = [sys.executable, "-m", "comparisons", "check", f"{tmp_path}/mine.py:f", "--out", f"{tmp_path}/reports"]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.endswith("mine.py:f ended the process itself, with exit status 0; nothing was judged\n")
    assert not (tmp_path / "reports").exists()


def test_a_process_of_several_jobs_that_ends_itself_is_one_line_too(tmp_path, capsys):
    pytest.importorskip("joblib")
    (tmp_path / "mine.py").write_text("import os\ndef f(w, x, t): os._exit(0)\n")
    arguments = ["--implementation", f"{tmp_path}/mine.py:f", "--networks", "3000", "--jobs", "2"]
    assert main(["sweep", *arguments, "--out", str(tmp_path / "reports")]) == 2
    said = "handnet sweep: a process of its --jobs ended by itself: os._exit, a crash, or out of memory\n"
    assert capsys.readouterr().err.endswith(said)


def test_without_somebodys_file_nothing_runs_apart():
    asked = []
    assert in_a_child(lambda arguments: asked.append((os.getpid(), arguments)) or 1, ["compare", "note"]) == 1
    assert asked == [(os.getpid(), ["compare", "note"])]


def test_where_there_is_no_safe_fork_the_file_runs_in_the_same_process(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    asked = []
    assert in_a_child(lambda arguments: asked.append(os.getpid()) or 0, ["check", "mine.py:f"]) == 0
    assert asked == [os.getpid()]


def test_called_from_python_the_command_runs_where_it_is_called(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("def f(w, x, t): raise ValueError('here')\n")
    assert main(["check", f"{tmp_path}/mine.py:f", "--out", str(tmp_path / "reports")]) == 2
    assert "it raised ValueError: here" in capsys.readouterr().out
