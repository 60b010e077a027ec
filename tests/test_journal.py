"""One journal is of one run at a time, and of one format."""

import json
import os
import subprocess
import sys

import pytest

from comparisons.studies import journal
from comparisons.studies.journal import FORMAT, Journal

RUN = {"settings": [["2-2-2", "tanh"]], "chunk": 7}
# Another process, with the module alone: it opens the journal, adds a part, and waits.
OTHER = f"""
import runpy, sys
from pathlib import Path
journal = runpy.run_path({journal.__file__!r})["Journal"](Path(sys.argv[1]), {RUN!r}, sys.argv[2] == "resume")
journal.add(len(journal.done), {{"networks": 5}})
print("added", flush=True)
if sys.stdin.readline() == "close\\n":
    journal.close()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reports" / "sweep.unfinished.jsonl"


def other(path, how="anew"):
    command = [sys.executable, "-c", OTHER, str(path), how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "added\n"
    return process


def ended(process, last="\n"):
    process.communicate(last, timeout=60)
    assert process.returncode == 0


@pytest.mark.skipif(journal.fcntl is None, reason="no locks here")
@pytest.mark.parametrize("resume", [False, True])
def test_of_two_runs_in_one_folder_the_second_is_refused_in_one_line(path, resume):
    first = other(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="is in use by another sweep: wait for its end") as refused:
        Journal(path, RUN, resume)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == before
    ended(first, "close\n")
    assert not path.exists()


@pytest.mark.apart
def test_a_run_that_was_killed_leaves_no_lock(path):
    first = other(path)
    first.kill()
    first.communicate()
    again = Journal(path, RUN, resume=True)
    assert again.done == {0: {"networks": 5}}
    again.add(1, {"networks": 6})
    again.close()
    assert not path.exists()


def test_one_run_after_the_other_goes_on(path):
    ended(other(path))
    ended(other(path, "resume"))
    assert Journal(path, RUN, resume=True).done == {0: {"networks": 5}, 1: {"networks": 5}}


def test_a_run_that_failed_can_go_on_in_the_same_process(path):
    first = Journal(path, RUN, resume=False)
    first.add(0, "done")
    assert Journal(path, RUN, resume=True).done == {0: "done"}


@pytest.mark.skipif(journal.fcntl is None, reason="no locks here")
def test_a_file_that_is_deleted_as_it_is_opened_is_opened_again(path, monkeypatch):
    """Another run may end between the opening and the locking: what it deletes is nobody's journal."""
    lock, deleted = journal.fcntl.lockf, []

    def late(file, how):
        if not deleted:
            deleted.append(path.unlink())
        lock(file, how)

    monkeypatch.setattr(journal.fcntl, "lockf", late)
    written = Journal(path, RUN, resume=False)
    written.add(0, "done")
    assert path.read_text().count("\n") == 2


def test_the_first_line_has_the_format(path):
    Journal(path, RUN, resume=False)
    assert json.loads(path.read_text()) == {"format": FORMAT, **RUN}


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(("there", "said"), [({"format": FORMAT + 1}, f"format {FORMAT + 1}"), ({}, "no format")])
def test_another_format_is_refused_in_one_line(path, there, said, resume):
    path.parent.mkdir()
    text = "".join(f"{json.dumps(line)}\n" for line in ({**there, **RUN}, {"part": 0, "result": 1}))
    path.write_text(text)
    with pytest.raises(
        ValueError, match=f"jsonl has {said}: expected {FORMAT}; finish it with the handnet that began it"
    ):
        Journal(path, RUN, resume)
    assert path.read_text() == text


@pytest.mark.parametrize("tail", ['{"part": 1, "resu', '{"part": 1', "\u00e9"], ids=range(3))
def test_a_last_line_that_was_cut_off_is_dropped(path, tail):
    Journal(path, RUN, resume=False).add(0, "done")
    whole = path.read_text()
    path.write_text(whole + tail, encoding="utf-8")
    again = Journal(path, RUN, resume=True)
    assert path.read_text() == whole
    again.add(1, "too")
    assert [json.loads(line) for line in path.read_text().splitlines()][1:] == [
        {"part": 0, "result": "done"},
        {"part": 1, "result": "too"},
    ]


@pytest.mark.parametrize("text", ["", "{", "{}\n", '{"format": 0}\n{"par'])
def test_a_file_without_a_finished_part_is_begun_anew(path, text):
    path.parent.mkdir()
    path.write_text(text)
    assert Journal(path, RUN, resume=False).done == {}
    assert json.loads(path.read_text()) == {"format": FORMAT, **RUN}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no list of open files here")
def test_a_journal_that_nobody_keeps_is_closed(path):
    kept = Journal(path, RUN, resume=False)
    assert str(path) in _open_files()
    del kept
    assert str(path) not in _open_files()


def _open_files():
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return {os.readlink(link) for link in links if os.path.islink(link)}
