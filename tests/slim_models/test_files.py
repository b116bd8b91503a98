"""Files that appear whole or not at all, whenever the process that writes them is killed."""

import contextlib
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim_models
from slim_models import files, locks
from slim_models.weights import put_in_place

OLD = {"a/weights": np.arange(6, dtype=np.float32), "a/biases": np.zeros(2, np.float32)}
NEW = {"a/weights": np.arange(6, dtype=np.float32) + 10, "a/biases": np.zeros(2, np.float32)}


class Killed(BaseException):
    """In place of the kernel."""


@pytest.fixture
def kill(monkeypatch):
    """Has every change of a name but the first few raise: `kill(2)`; `kill.changes` counts those that are made."""

    def instead(change):
        def changed(*args, **options):
            if kill.changes == kill.most:
                raise Killed
            kill.changes += 1
            return change(*args, **options)

        return changed

    def kill(most):
        kill.most, kill.changes = most, 0

    kill(None)
    for name in ("replace", "rename", "unlink"):
        monkeypatch.setattr(pathlib.Path, name, instead(getattr(pathlib.Path, name)))
    return kill


DYING = """
import os, pathlib, sys, numpy as np, slim_models
really, left = pathlib.Path.replace, [int(sys.argv[2])]
def replace(self, to):
    if not left[0]:
        os._exit(9)
    left[0] -= 1
    return really(self, to)
pathlib.Path.replace = replace
new = {"a/weights": np.arange(6, dtype=np.float32) + 10, "a/biases": np.zeros(2, np.float32)}
slim_models.write_weights(sys.argv[1], new)
"""


def write_v1(path, weights):
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.Variable(array, name=name) for name, array in weights.items()]
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(variables, write_version=tf.train.SaverDef.V1)
        saver.save(session, str(path), write_meta_graph=False, write_state=False)


def is_of(weights, read):
    return read.keys() == weights.keys() and all((read[name] == array).all() for name, array in weights.items())


class TestCheckpoints:
    @pytest.mark.parametrize("write_old", [slim_models.write_weights, write_v1])
    @pytest.mark.parametrize("first", [0, 2, 4])
    @pytest.mark.parametrize("most", range(8))
    def test_a_kill_leaves_all_of_the_old_or_all_of_the_new(self, tmp_path, kill, most, first, write_old):
        """Also of a process that replaces what another, that was killed after `first` steps, has left."""
        path = tmp_path / "x.ckpt"
        write_old(path, OLD)
        for steps in (first, most):
            kill(steps)
            with contextlib.suppress(Killed):
                slim_models.write_weights(path, NEW)
            read = slim_models.read_weights(path)
            assert is_of(OLD, read) or is_of(NEW, read)
        kill(None)
        slim_models.write_weights(path, NEW)  # heals
        assert is_of(NEW, slim_models.read_weights(path))
        assert sorted(part.name for part in tmp_path.iterdir()) == ["x.ckpt.data-00000-of-00001", "x.ckpt.index"]

    @pytest.mark.parametrize("most", [1, 2, 3])
    def test_a_process_that_dies_at_once(self, tmp_path, most):
        """Without a chance to tidy up, unlike with an exception; what it leaves goes with the next writing."""
        path = tmp_path / "x.ckpt"
        slim_models.write_weights(path, OLD)
        result = subprocess.run([sys.executable, "-c", DYING, str(path), str(most)], timeout=60)
        assert result.returncode == 9
        assert any(part.name.startswith(".writing-") for part in tmp_path.iterdir())
        assert is_of(NEW if most > 1 else OLD, slim_models.read_weights(path))
        files._clear_away.cache_clear()  # as in a new process
        slim_models.write_weights(path, NEW)
        assert is_of(NEW, slim_models.read_weights(path))
        assert sorted(part.name for part in tmp_path.iterdir()) == ["x.ckpt.data-00000-of-00001", "x.ckpt.index"]

    @pytest.mark.parametrize("most", range(5))
    def test_a_file_of_version_1_in_place_of_version_2(self, tmp_path, kill, most):
        path = tmp_path / "x.ckpt"
        slim_models.write_weights(path, OLD)
        (tmp_path / "new").mkdir()
        write_v1(tmp_path / "new" / "x.ckpt", NEW)
        kill(most)
        with contextlib.suppress(Killed):
            put_in_place(tmp_path / "new", path)
            assert most >= kill.changes == 3
        assert is_of(NEW if most > 1 else OLD, slim_models.read_weights(path))

    def test_where_a_file_has_one_name_only(self, tmp_path, monkeypatch):
        def link(*_):
            raise PermissionError

        monkeypatch.setattr(os, "link", link)
        for weights in (OLD, NEW):
            slim_models.write_weights(tmp_path / "x.ckpt", weights)
            assert is_of(weights, slim_models.read_weights(tmp_path / "x.ckpt"))

    def test_a_damaged_index_is_replaced(self, tmp_path):
        slim_models.write_weights(tmp_path / "x.ckpt", OLD)
        (tmp_path / "x.ckpt.index").write_bytes(b"no index")
        slim_models.write_weights(tmp_path / "x.ckpt", NEW)
        assert is_of(NEW, slim_models.read_weights(tmp_path / "x.ckpt"))

    def test_all_is_there_when_nothing_is_killed(self, tmp_path):
        for weights in (OLD, NEW):
            slim_models.write_weights(tmp_path / "x.ckpt", weights)
            assert is_of(weights, slim_models.read_weights(tmp_path / "x.ckpt"))
        names = ["x.ckpt.data-00000-of-00001", "x.ckpt.index"]
        assert sorted(path.name for path in tmp_path.iterdir()) == names

    def test_one_of_version_1_does_not_outlive_its_successor(self, tmp_path):
        """Beside a new index its values would be read, under the new names and shapes."""
        write_v1(tmp_path / "x.ckpt", OLD)
        slim_models.write_weights(tmp_path / "x.ckpt", NEW)
        assert is_of(NEW, slim_models.read_weights(tmp_path / "x.ckpt"))
        assert not (tmp_path / "x.ckpt").exists()

    def test_neighbours_stay(self, tmp_path):
        slim_models.write_weights(tmp_path / "x.ckpt-2.ckpt", OLD)
        (tmp_path / "x.ckpt").mkdir()
        slim_models.write_weights(tmp_path / "x.ckpt", NEW)
        assert is_of(OLD, slim_models.read_weights(tmp_path / "x.ckpt-2.ckpt"))
        assert (tmp_path / "x.ckpt.index").is_file()
        assert (tmp_path / "x.ckpt").is_dir()  # which is no checkpoint of version 1


def test_a_single_file_is_replaced_at_once(tmp_path, kill):
    slim_models.write_weights(tmp_path / "x.npz", OLD)
    kill(0)
    with pytest.raises(Killed):
        slim_models.write_weights(tmp_path / "x.npz", NEW)
    assert is_of(OLD, slim_models.read_weights(tmp_path / "x.npz"))
    kill(1)
    slim_models.write_weights(tmp_path / "x.npz", NEW)
    assert is_of(NEW, slim_models.read_weights(tmp_path / "x.npz"))


WRITING = """
import sys
from slim_models.files import whole_file
with whole_file(sys.argv[1]) as path:
    path.write_text("ha")
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def begin():
    """Starts a process that is in the middle of writing a file, and goes on when its input ends."""
    begun = []

    def begin(path):
        command = [sys.executable, "-c", WRITING, str(path)]
        begun.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert begun[-1].stdout.readline() == "writing\n"
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def temporary_folders(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def write(path):
    with files.whole_file(path) as temporary:
        temporary.write_text("whole")


def end(process):
    process.kill()
    process.wait()


class TestWhatKilledProcessesLeave:
    def test_the_next_writer_clears_it_away_but_nothing_of_a_running_process(self, tmp_path, begin):
        running = begin(tmp_path / "b.txt")
        (theirs,) = temporary_folders(tmp_path)
        end(begin(tmp_path / "a.txt"))
        assert len(temporary_folders(tmp_path)) == 2
        write(tmp_path / "c.txt")
        assert temporary_folders(tmp_path) == [theirs]
        running.communicate()
        assert running.returncode == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b.txt", "c.txt"]
        assert (tmp_path / "b.txt").read_text() == "ha"

    def test_what_is_not_known_to_be_left_stays(self, tmp_path):
        """Folders without a lock are of an earlier version, and may be in use; and a link is not followed."""
        for name in (".writing-machine-1-2-abcdefgh", "mine", ".writing-old"):
            (tmp_path / name).mkdir()
        (tmp_path / "mine" / "file").touch()
        (tmp_path / ".writing-link").symlink_to(tmp_path / "mine")
        (tmp_path / ".writing-link.lock").touch()
        (tmp_path / ".writing-other.lock").symlink_to(tmp_path / "mine" / "file")
        os.utime(tmp_path / ".writing-old", (0, 0))
        write(tmp_path / "b.txt")
        assert temporary_folders(tmp_path) == [".writing-link", ".writing-machine-1-2-abcdefgh", "mine"]
        assert (tmp_path / "mine" / "file").is_file()

    def test_a_folder_is_looked_through_once(self, tmp_path, begin, monkeypatch):
        write(tmp_path / "1.txt")
        end(begin(tmp_path / "a.txt"))
        monkeypatch.chdir(tmp_path)
        write("2.txt")
        assert len(temporary_folders(tmp_path)) == 1

    def test_where_there_are_no_locks_nothing_is_removed(self, tmp_path, begin, monkeypatch):
        end(begin(tmp_path / "a.txt"))
        monkeypatch.setattr(locks, "_locked", lambda descriptor: None)
        write(tmp_path / "b.txt")
        assert len(temporary_folders(tmp_path)) == 1
        assert (tmp_path / "b.txt").is_file()
