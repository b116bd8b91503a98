"""Data sets and folders by the workers of a Dask scheduler: real processes on this machine, which are killed, too."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import odd_worker
import pytest
import tensorflow.compat.v1 as tf
from foreign import classifier, write_pb
from PIL import Image

import slim_models
from gradcam.cli import main
from gradcam.cluster import Job, connected
from gradcam.evaluation import Journal
from slim_models.mistakes import BadValue
from slim_models.weights import random_weights

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install dask[distributed]")

ROOT = pathlib.Path(__file__).parents[3]
PICTURES, BATCH = 14, 2


class Processes:
    """A scheduler and its workers."""

    def __init__(self, folder, **environment):
        self.folder, self.file, self.started = folder, folder / "scheduler.json", []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", **environment)
        until(self.file.exists)

    @property
    def address(self):
        return str(self.file)

    def worker(self, odd="", **environment):
        """Starts a worker of one thread, without the nanny that would start it again."""
        preload = ["--preload", "odd_worker"] if odd else []
        flags = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0", "--host", "127.0.0.1"]
        return self._start("worker", *flags, *preload, ODD=odd, **environment)

    def _start(self, kind, *flags, **environment):
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", str(self.file), *flags],
            env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
            cwd=self.folder,  # where nobody's relative paths lead anywhere
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.started.append(process)
        return process

    def end(self):
        for process in self.started:
            process.kill()
            process.wait()


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


@contextlib.contextmanager
def processes(folder, **environment):
    folder.mkdir()
    found = Processes(folder, **environment)
    try:
        yield found
    finally:
        found.end()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler with two workers, which have weights of their own under the name of a network."""
    folder = tmp_path_factory.mktemp("cluster")
    write_weights(folder / "theirs", seed=1)
    with processes(folder / "dask") as found:
        for _ in range(2):
            found.worker(GRADCAM_WEIGHTS=str(folder / "theirs"))
        yield found


@pytest.fixture
def alone(tmp_path):
    """A scheduler without workers."""
    with processes(tmp_path / "dask") as found:
        yield found


def write_weights(folder, seed):
    network = slim_models.build("vgg16", image_size=32, width_divisor=8, num_classes=10)
    folder.mkdir()
    slim_models.write_weights(folder / "vgg16.npy", random_weights(network, seed))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with tf.Graph().as_default() as graph:
        classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"), classes=5)
        return str(write_pb(tmp_path_factory.mktemp("network") / "net.pb", graph.as_graph_def()))


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A list of pictures in the folder in which the program runs."""
    rng = np.random.default_rng(0)
    lines = ["path,class,boxes"]
    for number in range(PICTURES):
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(tmp_path / f"p{number:02}.png")
        lines.append(f"p{number:02}.png,{number % 5},{number} 0 40 30")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluated(network, out, *flags):
    """The exit code, and the journal's bytes; with the maps' peaks, which have all their digits."""
    own = ["--network", network, *(["--preprocessing", "none"] if network.endswith(".pb") else [])]
    data = ["--data", "list.csv", "--batch", str(BATCH), "--methods", "grad_cam", "guided_backprop", "--classes", "2"]
    code = main(["evaluate", "pointing", *own, *data, "--out", f"{out}/table.png", *flags])
    journals = list(pathlib.Path(out).glob("*.jsonl")) if pathlib.Path(out).exists() else []
    return code, journals[0].read_bytes() if journals else b""


def lines_of(capsys):
    """What is said of workers and mistakes, beside what was found in the network's file."""
    return [line for line in capsys.readouterr().err.splitlines() if "worker" in line or line.startswith("gradcam: ")]


@pytest.fixture
def undrawn(monkeypatch):
    """Tables are not drawn, which takes longer than the rest."""
    monkeypatch.setattr("gradcam.cli.evaluate.write_run", lambda *given, **more: None)


def at_batch(monkeypatch, number, act):
    """Acts when the journal has so many batches."""
    append, count = Journal.append, []

    def appended(self, rows):
        append(self, rows)
        count.append(len(rows))
        if len(count) == number:
            act()

    monkeypatch.setattr(Journal, "append", appended)


def test_a_data_set_has_the_same_journal_to_the_byte(cluster, network, data, capsys):
    code, here = evaluated(network, "here")
    assert code == 0 and here.count(b"\n") == 1 + PICTURES // BATCH
    for out, flags in {"there": [], "sent": ["--send-pictures"]}.items():
        assert evaluated(network, out, "--cluster", cluster.address, *flags) == (0, here)
        for name in ("table.csv", "table.json"):
            assert (data / out / name).read_bytes() == (data / "here" / name).read_bytes()
    assert lines_of(capsys) == []


@pytest.mark.usefixtures("undrawn")
def test_a_run_goes_on_elsewhere_and_comes_back(cluster, network, data, capsys):
    _, whole = evaluated(network, "whole")
    flags = ["--cluster", cluster.address]
    for number, (first, second) in enumerate([([], flags), (flags, [])]):
        shutil.copy("p09.png", "kept.png")
        pathlib.Path("p09.png").write_bytes(b"no picture")
        code, begun = evaluated(network, f"run{number}", *first)
        assert code == 2 and begun.count(b"\n") == 1 + 4 and whole.startswith(begun)
        (line,) = lines_of(capsys)
        assert "p09.png is not a picture that can be read" in line
        assert ("worker tcp://127.0.0.1" in line and "(and on tcp://127.0.0.1" in line) == bool(first)
        shutil.move("kept.png", "p09.png")
        assert evaluated(network, f"run{number}", *second) == (0, whole)
        assert "8 of 14 pictures are in" in capsys.readouterr().out


def test_a_folder_has_the_same_files(cluster, network, data, capsys):
    (data / "broken.png").write_bytes(b"no picture")
    own = ["--network", network, "--preprocessing", "none", "--batch", "4"]
    own += ["--write", "overlay", "--write", "arrays", "--target", "1", "--target", "3"]
    said = {}
    for out, flags in {"here": [], "out": [], "sent": ["--send-pictures"]}.items():
        flags = flags if out == "here" else ["--cluster", cluster.address, *flags]
        assert main(["explain", ".", *own, "--out", out, *flags]) == 1
        text = capsys.readouterr()
        said[out] = [line.replace(out, "OUT") for line in text.out.splitlines()[:-1]]
        assert text.err.splitlines()[-2:][0] == (
            "gradcam: broken.png is not a picture that can be read (of " + text.err.split("(of ")[1].split(")")[0] + ")"
        )
    assert said["out"] == said["here"] == said["sent"]
    files = {out: {path.name: path.read_bytes() for path in (data / out).iterdir()} for out in said}
    assert files["out"] == files["here"] == files["sent"] and len(files["here"]) == 4 * PICTURES + 2


@pytest.mark.usefixtures("undrawn")
def test_a_worker_that_is_killed_and_one_that_is_added(alone, network, data, monkeypatch):
    _, here = evaluated(network, "here")
    first = alone.worker()

    def act():
        first.send_signal(signal.SIGKILL)
        alone.worker()

    at_batch(monkeypatch, 2, act)
    assert evaluated(network, "there", "--cluster", alone.address) == (0, here)
    assert first.wait() == -signal.SIGKILL


@pytest.mark.usefixtures("undrawn")
def test_a_scheduler_that_goes_away(alone, network, data, monkeypatch, capsys):
    _, here = evaluated(network, "here")
    alone.worker()
    with monkeypatch.context() as patch:
        at_batch(patch, 2, lambda: alone.scheduler.send_signal(signal.SIGKILL))
        code, begun = evaluated(network, "there", "--cluster", alone.address)
    assert code == 2 and here.startswith(begun) and 1 + 2 <= begun.count(b"\n") < 1 + PICTURES // BATCH
    (line,) = lines_of(capsys)
    assert line.startswith("gradcam: the scheduler at ") and "is gone; what is done is kept" in line
    assert evaluated(network, "there") == (0, here)


@pytest.mark.usefixtures("undrawn")
def test_a_picture_that_is_damaged_on_one_worker(cluster, network, data, capsys):
    _, here = evaluated(network, "here")
    odd = cluster.worker(odd="disk")
    try:
        with distributed.Client(scheduler_file=cluster.address, set_as_default=False) as client:
            client.wait_for_workers(3, timeout=60)
        assert evaluated(network, "there", "--cluster", cluster.address) == (0, here)
    finally:
        odd.kill()
    lines = lines_of(capsys)
    assert lines and all("is damaged or truncated; another worker, tcp://" in line for line in lines)


@pytest.mark.usefixtures("undrawn")
def test_another_tensorflow_is_refused_unless_it_is_allowed(alone, network, data, capsys):
    alone.worker(odd="version")
    code, begun = evaluated(network, "there", "--cluster", alone.address)
    (line,) = lines_of(capsys)
    assert code == 2 and begun == b""
    assert f"it has tensorflow 2.0.0, and this program {tf.__version__}; --any-tensorflow" in line
    code, mixed = evaluated(network, "mixed", "--cluster", alone.address, "--any-tensorflow")
    (line,) = lines_of(capsys)
    assert code == 0 and "has TensorFlow 2.0.0: its numbers differ in their last digits" in line
    assert f"{tf.__version__} and others".encode() in mixed.splitlines()[0]


@pytest.mark.usefixtures("undrawn")
def test_other_weights_of_the_same_name_are_refused(cluster, data, monkeypatch, capsys):
    write_weights(data / "ours", seed=2)
    monkeypatch.setenv("GRADCAM_WEIGHTS", str(data / "ours"))
    code, begun = evaluated("vgg16", "there", "--cluster", cluster.address, "--limit", "2")
    (line,) = lines_of(capsys)
    assert code == 2 and begun == b"" and "its network is another: weights" in line


@pytest.mark.usefixtures("undrawn")
def test_workers_that_are_started_here(network, data, capsys):
    _, here = evaluated(network, "here", "--limit", "4")
    assert evaluated(network, "there", "--limit", "4", "--workers", "1") == (0, here)
    assert lines_of(capsys) == []


@pytest.mark.parametrize("own", [None, "1000000"], ids=["glibc's", "the user's"])
def test_workers_that_are_started_here_keep_the_memory_of_a_layer_for_the_next(own, monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    if own:
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", own)
    with connected(workers=1) as there:
        assert there.client.submit(os.environ.get, "MALLOC_TRIM_THRESHOLD_").result(60) == own


DOUBLING = Job("doubling", odd_worker.doubling, odd_worker.doubling()[1])


def test_results_come_in_order_and_no_more_is_asked_for_than_the_workers_can_take(cluster):
    asked = []
    with (
        connected(cluster.address) as there,
        there.results(DOUBLING, (asked.append(n) or n for n in range(300))) as found,
    ):
        for number, result in enumerate(found):
            assert result == 2 * number and len(asked) - number <= 2 * len(there.client.nthreads())
    assert asked == list(range(300))


def test_workers_that_all_go_are_waited_for(alone, monkeypatch):
    monkeypatch.setattr("gradcam.cluster.connecting._PATIENCE", 0.5)
    first, said = alone.worker(odd="no"), []

    def say(line):
        said.append(line)
        alone.worker(odd="no")

    with connected(alone.address, say=say) as there, there.results(DOUBLING, range(9)) as found:
        first.kill()
        first.wait()
        assert list(found) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert said == [f"no worker is left at {alone.address}: waiting for one"]


def test_pictures_that_kill_their_workers(tmp_path):
    with processes(tmp_path / "dask", DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as there:
        there.worker(odd="mortal")
        died = pytest.raises(BadValue, match="tried by 1 workers, and all of them died: most likely they need more")
        with connected(there.address) as found, found.results(DOUBLING, range(3)) as results, died:
            list(results)


def test_nobody_answers(monkeypatch):
    monkeypatch.setattr("gradcam.cluster.connecting._ANSWER", 0.5)
    with (
        pytest.raises(OSError, match="no Dask scheduler answers at tcp://127.0.0.1:1: "),
        connected("tcp://127.0.0.1:1"),
    ):
        pass


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--workers", "0"], "--workers must be at least 1, not 0"),
        (["--workers", "1", "--cluster", "tcp://127.0.0.1:1"], "either --cluster or --workers"),
        (["--send-pictures"], "--send-pictures is of workers"),
        (["--any-tensorflow"], "--any-tensorflow is of workers"),
    ],
)
def test_mistakes_are_told_at_once(flags, message, network, data, capsys):
    assert evaluated(network, "out", *flags) == (2, b"")
    assert message in lines_of(capsys)[0]


def test_without_dask_it_says_what_to_install(network, data, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert evaluated(network, "out", "--workers", "2") == (2, b"")
    assert "need Dask: pip install 'gradcam-tf1[cluster]'" in lines_of(capsys)[0]


def test_tensorboard_has_one_writer(capsys):
    assert main(["explain", "sample:coffee", "--tensorboard", "logs", "--workers", "2"]) == 2
    assert "--tensorboard goes without --cluster and --workers" in lines_of(capsys)[0]
