"""Locks that a process has as long as it lives."""

import os
import subprocess
import sys
import warnings

import pytest

from slim_models import locks
from slim_models.locks import Lock

HOLDING = """
import sys
from slim_models.locks import Lock
lock = Lock(sys.argv[1])
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_one_has_it_at_a_time_and_nothing_is_left(tmp_path):
    first, second = Lock(tmp_path / "a"), Lock(tmp_path / "a")
    assert first.acquire()
    assert not second.acquire()
    second.release()  # what is not had
    assert not second.acquire()
    first.release()
    assert not list(tmp_path.iterdir())
    assert second.acquire()
    del second
    assert first.acquire()
    first.release()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked on Windows")
def test_a_forked_process_does_not_give_back_what_its_parent_has(tmp_path):
    lock = Lock(tmp_path / "a")
    assert lock.acquire()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python's own: that there may be threads
        child = os.fork()
    if not child:
        lock.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "a").exists()
    assert not Lock(tmp_path / "a").acquire()
    lock.release()
    assert not list(tmp_path.iterdir())


def test_a_process_that_is_killed_has_it_no_more(tmp_path):
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        assert not Lock(tmp_path / "a").acquire()
        process.kill()
        process.wait()
        assert (tmp_path / "a").exists()
        lock = Lock(tmp_path / "a")
        assert lock.acquire()
        lock.release()


@pytest.mark.skipif(os.name == "nt", reason="an open file is not removed there")
def test_a_file_that_was_removed_in_between_is_no_lock(tmp_path, monkeypatch):
    """Somebody else opened the file, waited, and got a lock on what no longer has the name."""
    lock, taken = Lock(tmp_path / "a"), []
    really = locks._locked

    def locked(descriptor):
        if not taken:
            taken.append((tmp_path / "a").unlink())  # the holder, at the last moment
        return really(descriptor)

    monkeypatch.setattr(locks, "_locked", locked)
    assert lock.acquire()
    assert not Lock(tmp_path / "a").acquire()
    lock.release()


def test_where_files_cannot_be_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_locked", lambda descriptor: None)
    lock = Lock(tmp_path / "a")
    assert not lock.acquire(unknown=False)
    assert lock.acquire()
    lock.release()
