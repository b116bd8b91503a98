"""Files that appear whole or not at all, whenever the process that writes them is killed."""

import os
import pathlib
import signal
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim_models
from slim_models import files

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
    @pytest.mark.parametrize("most", range(4))
    def test_a_kill_between_two_renames_leaves_old_or_new_or_none(self, tmp_path, kill, most, write_old):
        path = tmp_path / "x.ckpt"
        write_old(path, OLD)
        kill(most)  # of three: the old index goes, or the old file of version 1; the new data come, the new index
        try:
            slim_models.write_weights(path, NEW)
        except Killed:
            assert most < 3
            assert files.is_there(path) == (most == 0)
            if most == 0:
                assert is_of(OLD, slim_models.read_weights(path))
            else:  # nothing that is taken for a checkpoint, and none that is called damaged
                with pytest.raises(FileNotFoundError, match="no weights at"):
                    slim_models.read_weights(path)
        else:
            assert most == kill.changes == 3
            assert is_of(NEW, slim_models.read_weights(path))

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


@pytest.mark.skipif(os.name == "nt", reason="processes are not seen there")
class TestWhatKilledProcessesLeave:
    def test_the_next_writer_clears_it_away_but_nothing_of_a_running_process(self, tmp_path, begin):
        killed, running = begin(tmp_path / "a.txt"), begin(tmp_path / "b.txt")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        both = temporary_folders(tmp_path)
        assert len(both) == 2
        write(tmp_path / "c.txt")
        (left,) = temporary_folders(tmp_path)
        assert f"-{running.pid}-" in left
        running.communicate()
        assert running.returncode == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b.txt", "c.txt"]
        assert (tmp_path / "b.txt").read_text() == "ha"

    def test_what_others_left_stays(self, tmp_path, begin, monkeypatch):
        process = begin(tmp_path / "a.txt")
        process.kill()
        process.wait()
        (ours,) = temporary_folders(tmp_path)
        host = ours.removesuffix(ours[ours.index(f"-{process.pid}-") :])
        others = [
            f"{host}x-{process.pid}-abcdefgh",  # another namespace, or another machine's
            f".writing-elsewhere-0-{process.pid}-abcdefgh",
            f"{host}-{process.pid}",
            f"{host}-12-{process.pid}-abcdefgh",
            f"{host}-{os.getpid()}-abcdefgh",
            ".writing-abcdefgh",
            "mine",
        ]
        for name in others:
            (tmp_path / name).mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "mine")
        write(tmp_path / "b.txt")
        assert temporary_folders(tmp_path) == sorted([*others, "link"])

    def test_a_folder_is_looked_through_once(self, tmp_path, monkeypatch):
        looked = []
        monkeypatch.setattr(files, "is_running", lambda process: looked.append(process) or True)
        folder = tmp_path / f"{files._beginning()}999999-abcdefgh"
        folder.mkdir()
        for number in range(3):
            write(tmp_path / f"{number}.txt")
        monkeypatch.chdir(tmp_path)
        write("3.txt")
        assert looked == ["999999"]

    def test_on_windows_nothing_is_removed(self, tmp_path, monkeypatch):
        folder = tmp_path / f"{files._beginning()}999999-abcdefgh"
        folder.mkdir()
        system = types.SimpleNamespace(name="nt", getpid=os.getpid)
        monkeypatch.setattr(files, "os", system)
        write(tmp_path / "a.txt")
        assert temporary_folders(tmp_path) == [folder.name]


def test_which_processes_are_running():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert files.is_running(str(os.getpid())) == (os.name == "posix")
    assert files.is_running(str(child.pid)) == (os.name == "posix")
    child.communicate()
    assert not files.is_running(str(child.pid))
    for word in ("", "x", "-1", "1.5", "9" * 40):
        assert not files.is_running(word)
