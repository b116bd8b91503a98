"""The benchmark: its arithmetic by hand, its tables on made-up seconds, its processes for real on a small network."""

import itertools
import json
import subprocess
import sys
from types import SimpleNamespace

import benchmark
import numpy as np
import pytest
from benchmarking import contests, limits, probe, probe_tensorflow, seconds, startup, tables, work
from benchmarking.agreement import correlation, correlations
from benchmarking.contests import Contest, Timing
from benchmarking.limits import Limit
from benchmarking.processes import SCRIPTS, Failure, Task, Worker
from peers import OURS, PEERS, PeerInfo, pictures
from peers.arrays import Arrays, write_arrays

import slim_models
from gradcam.explainer import Explainer

SMALL = "vgg16_tiny"


class TestWork:
    def test_vgg16(self):
        found = work.layers(slim_models.build("vgg16"))
        # Outputs times values under the kernel; the convolutions do not change the size, a pool halves it.
        pairs = {224: [(3, 64), (64, 64)], 112: [(64, 128), (128, 128)], 56: [(128, 256), (256, 256), (256, 256)]}
        pairs |= {28: [(256, 512), (512, 512), (512, 512)], 14: [(512, 512)] * 3}
        convolutions = sum(side * side * 9 * k * depth for side, layer in pairs.items() for k, depth in layer)
        head = 7 * 7 * 512 * 4096 + 4096 * 4096 + 4096 * 1000
        assert sum(layer.macs for layer in found) == convolutions + head
        assert [layer.macs for layer in found if layer.head] == [7 * 7 * 512 * 4096, 4096 * 4096, 4096 * 1000]
        gmac = {task: work.task_macs(found, task) / 1e9 for task in PEERS[OURS].tasks}
        assert gmac == pytest.approx({"cam": 15.594, "guided": 30.941, "both": 31.064, "classes": 17.819}, abs=1e-3)
        assert sum(layer.values for layer in found) == 138_344_128  # all its parameters but the 13,416 biases

    def test_resnet(self):
        found = work.layers(slim_models.build("resnet_v1_50"))
        by_name = {layer.name.removeprefix("resnet_v1_50/").removesuffix("/Conv2D"): layer for layer in found}
        assert by_name["conv1"].macs == 112 * 112 * 7 * 7 * 3 * 64
        # The last unit of a block strides in its 3x3 convolution.
        assert by_name["block1/unit_3/bottleneck_v1/conv2"].macs == 28 * 28 * 9 * 64 * 64
        assert [name for name, layer in by_name.items() if layer.head] == ["logits"]
        assert by_name["logits"].macs == 2048 * 1000
        assert sum(layer.macs for layer in found) == pytest.approx(3.482e9, rel=1e-3)


class TestLimits:
    LAYERS = (work.Layer("a", (10, 10), (3, 3, 2, 5)), work.Layer("b", (1, 1), (1, 1, 500, 4), head=True))

    def test_by_hand(self):
        # 9000 multiplications in the trunk, 2000 in the head; 90 and 2000 weights.
        limit = Limit(convolution=1e6, matmul=9e9, bandwidth=1e6)
        assert limit.ms(self.LAYERS, "cam", 8, "float32") == pytest.approx(2 * (9 + 2 + 2))
        assert limit.ms(self.LAYERS, "guided", 8, "float32") == pytest.approx(2 * (18 + 4))
        assert limit.ms(self.LAYERS, "both", 8, "float32") == pytest.approx(2 * (18 + 2 + 4))
        assert limit.ms(self.LAYERS, "cam", 1, "float32") == pytest.approx(26 + 4 * 2.09)
        assert limit.ms(self.LAYERS, "classes", 1, "bfloat16") == pytest.approx(2 * (9 + 10 * 4) + 2 * 2.09)

    def test_the_best_of_all_frameworks(self):
        def answer(*rates, matmul, read):
            return {"convolutions": [{"per_second": r} for r in rates], "matmul": matmul, "bytes": read}

        found = limits.best(
            {
                "tensorflow": {p: answer(3, 7, matmul=5, read=2) for p in limits.SIZES},
                "torch": {
                    "float32": answer(6, matmul=8, read=3),
                    "bfloat16": answer(9, matmul=1, read=4),
                },
            }
        )
        assert found == {"float32": Limit(7, 8, 4), "bfloat16": Limit(9, 5, 4)}
        with pytest.raises(ValueError, match="no framework"):
            limits.best({})

    def test_operations_and_bytes_a_second(self, monkeypatch):
        framework = SimpleNamespace(convolution=lambda *_: 0.5, product=lambda *_: 2, total=lambda *_: 4)
        monkeypatch.setattr(probe, "best", lambda run, seconds: run)  # the runs are seconds already
        found = probe.probe(framework, "bfloat16", [[10, 10, 3, 3, 2, 5]], 1)
        assert [one["per_second"] for one in found["convolutions"]] == [2 * 2 * 9000, 2 * 8 * 2 * 9000]
        assert found["matmul"] == 2048**3
        assert found["bytes"] == 25088 * 4096  # two bytes each, in two seconds

    @pytest.mark.parametrize("precision", limits.SIZES)
    def test_tensorflow_can_be_measured(self, precision):
        runs = [
            probe_tensorflow.convolution(2, 4, 4, [3, 3, 2, 2], precision),
            probe_tensorflow.product(2, 3, 4, precision),
            probe_tensorflow.total(3, 4, precision),
        ]
        assert all(probe.best(run, seconds=0) > 0 for run in runs)


class TestSeconds:
    def test_spread_is_median_and_quartiles(self):
        assert seconds.spread([[1, 2], [3, 4, 5]]) == (3, 2, 4)
        assert seconds.least([[3, 2], [1]]) == 1

    def test_ratio_is_that_of_neighbouring_turns(self):
        # The machine was four times as slow in the second round: both were. Rounds: 0.5, 0.5, 1.
        assert seconds.ratio([[1, 1, 1], [4, 4, 9], [2]], [[2, 2], [8], [2]]) == 0.5


class TestAgreement:
    RNG = np.random.default_rng(0)

    def test_a_map_agrees_with_itself_at_any_size_and_scale(self):
        cam = self.RNG.uniform(0, 1, (2, 7, 7))
        assert correlations({"cam": cam}, {"cam": 3 * cam})["cam"] == pytest.approx(1)
        maps = {"cam": cam, "guided": 1e-30 * self.RNG.normal(size=(2, 32, 32, 3))}
        assert correlations(maps, maps) == pytest.approx({"cam": 1, "guided": 1})
        assert contests.agree(correlations(maps, maps), "float32")

    def test_a_mirrored_map_does_not(self):
        cam = self.RNG.uniform(0, 1, (2, 7, 7))
        half = np.stack([cam[0], cam[1, :, ::-1]])  # the second picture's alone is mirrored
        assert not contests.agree(correlations({"cam": cam}, {"cam": half}), "bfloat16")

    def test_maps_that_say_nothing(self):
        flat, other = np.zeros((7, 7)), self.RNG.uniform(0, 1, (7, 7))
        assert correlation(flat, flat) == 1
        assert correlation(flat, other) == 0
        assert not contests.agree({"cam": correlation(np.full((7, 7), np.nan), other)}, "bfloat16")

    def test_other_maps_are_an_error(self):
        cam = np.ones((2, 7, 7))
        with pytest.raises(ValueError, match="there are maps guided, not cam"):
            correlations({"cam": cam}, {"guided": cam})
        with pytest.raises(ValueError, match="there are 1 maps of the kind cam, not 2"):
            correlations({"cam": cam}, {"cam": cam[:1]})


class Recorder:
    """A worker that takes no time but says that it did."""

    def __init__(self, name, took, log):
        self.name, self.took, self.log = name, took, log

    def ask(self, task, batch, repeat):
        self.log.append((self.name, repeat))
        return {"seconds": [self.took] * repeat}


def test_turns_alternate():
    log = []
    timing = contests.alternate([Recorder("a", 0.1, log), Recorder("b", 7, log)], "cam", 8, rounds=2, pause=0)
    assert log == [("a", 2), ("b", 2), ("a", 4), ("b", 1), ("a", 4), ("b", 1)]  # first to warm up
    assert timing == Timing("cam", 8, {"a": [[0.1] * 4] * 2, "b": [[7], [7]]})


class TestTables:
    HELD = (
        Contest(
            "vgg16",
            "float32",
            "captum",
            timings=[
                Timing("cam", 8, {OURS: [[0.8, 0.8]], "captum": [[3.2]]}),
                Timing("cam", 1, {OURS: [[0.1, 0.2]], "captum": [[0.4]]}),
            ],
            notes=["guided: the maps are not ours"],
        ),
        Contest("vgg16", "float32", "torchcam", timings=[Timing("cam", 1, {OURS: [[0.3]], "torchcam": [[0.2]]})]),
        Contest("vgg16", "float32", "xplique", notes=["does not start: no module"]),
    )

    @staticmethod
    def limit(task, batch):
        return {1: 80, 8: 50}[batch]

    def test_times(self):
        assert tables.times("VGG16", self.HELD, self.limit).splitlines() == [
            "| VGG16, ms a picture | CAM | CAM, batch 8 |",
            "| --- | --- | --- |",
            "| limit | 80.0 | 50.0 |",
            "| gradcam (ours) | 100, 200 (150-250) | 100, 100 (100-100) |",
            "| captum | 400, 400 (400-400) | 400, 400 (400-400) |",
            "| torch-cam | 200, 200 (200-200) | - |",
        ]

    def test_ratios(self):
        assert tables.ratios("VGG16", self.HELD, self.limit).splitlines()[2:] == [
            "| limit | 1.25, 2.50 | 2.00, 2.00 |",
            "| captum | 0.25, 0.38 | 0.25, 0.25 |",
            "| torch-cam | 1.50, 1.50 | - |",
        ]

    def test_versions(self):
        held = [Contest("", "", "", versions={"torch": "2", "captum": "1"}), Contest("", "", "", {"torch": "2"})]
        assert tables.versions(held) == "captum 1, torch 2"

    def test_startups_and_notes(self):
        found = [
            startup.Startup("vgg16", "float32", OURS, [3, 4, 9], 1200, 1300.4),
            startup.Startup("vgg16", "float32", "torchcam", [2], 1000),
            startup.Startup("vgg16", "float32", "xplique", note="first map: killed"),
        ]
        assert tables.startups("VGG16", found, [2.5, 2.4, 2.6]).splitlines()[2:] == [
            "| python -c 'import tensorflow' | 2.5 | - | - |",
            "| gradcam (ours) | 4.0 | 1200 | 1300 |",
            "| torch-cam | 2.0 | 1000 | - |",
        ]
        assert tables.notes(self.HELD, found) == [
            "- vgg16, float32, captum: guided: the maps are not ours",
            "- vgg16, float32, xplique: does not start: no module",
            "- vgg16, float32, xplique: first map: killed",
        ]


@pytest.fixture
def task():
    """The embedded VGG16, as the benchmark has a network."""
    file = slim_models.find_weights(SMALL)
    return Task(SMALL, file, file, slim_models.NETWORKS[SMALL].image_size, "float32")


class TestWorker:
    def test_ours_answers(self, task, tmp_path):
        with Worker(OURS, task) as worker:
            assert set(worker.versions) == {"tensorflow", "tf_slim"}
            answer = worker.ask(task="cam", batch=2, repeat=3)
            assert len(answer["seconds"]) == 3
            worker.ask(task="both", batch=2, save=str(tmp_path / "maps.npz"), targets=[7, 9])
            with pytest.raises(Failure, match="^ours: ValueError: no task 'cams'; the tasks are cam, guided"):
                worker.ask(task="cams", batch=1, repeat=1)
            with pytest.raises(Failure, match="out of range|no class"):
                worker.ask(task="cam", batch=1, repeat=1, targets=[100000])
            worker.ask(task="classes", batch=1, save=str(tmp_path / "classes.npz"))  # an error ends nothing
            assert 50 < worker.ask(memory=True)["peak_mb"] < 20000
            worker._process.kill()
            with pytest.raises(Failure, match="the process ended with"):
                worker.ask(memory=True)
        images = pictures.draw(2, task.size)
        with Explainer(slim_models.build(SMALL)) as explainer, np.load(tmp_path / "maps.npz") as maps:
            expected = explainer.explain(images, [7, 9])
            np.testing.assert_allclose(maps["cam"], expected.cam(), rtol=1e-3, atol=1e-5)
            assert correlation(maps["guided"], expected.saliency["guided"]) > 0.999
            with np.load(tmp_path / "classes.npz") as classes:
                expected = explainer.explain_classes(images[0], np.arange(pictures.CLASSES))
                assert correlations({"cam": expected.cam()}, dict(classes))["cam"] > 0.999

    def test_one_that_cannot_start_says_why(self, tmp_path):
        nothing = Task("vgg16", tmp_path, tmp_path, 224, "float32")
        with pytest.raises(Failure, match="captum: FileNotFoundError: no weights in"):
            Worker("captum", nothing)

    def test_what_is_printed_does_not_disturb(self):
        code = "from peers.process import private_output; import os; o = private_output(); print('noise');"
        code += "os.system('echo noise'); print('answer', file=o)"
        result = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)
        assert result.stdout == "answer\n"
        assert result.stderr.split() == ["noise", "noise"]


def test_arrays_of_a_folder(tmp_path):
    weights = {"a/b/weights": np.arange(6.0).reshape(2, 3), "a/biases": np.ones(2)}
    write_arrays(tmp_path, weights)
    found = Arrays(tmp_path)
    assert set(found) == set(weights)
    assert "a/weights" not in found
    assert all((found[name] == array).all() for name, array in weights.items())
    with pytest.raises(FileNotFoundError, match="no weights in"):
        Arrays(tmp_path / "a" / "b" / "c")


def test_pictures_do_not_depend_on_their_number():
    images = pictures.draw(3, 32)
    assert (images[:1] == pictures.draw(1, 32)).all()
    assert images.dtype == np.float32
    assert images.std(axis=(1, 2, 3)).min() > 30
    assert not (images[0] == images[1]).all()


def test_who_is_for_some_networks_alone():
    peer = PeerInfo("one", (), ("float32",), networks=("resnet_v1_50",))
    takes = [peer.takes(*asked) for asked in itertools.product(("resnet_v1_50", "vgg16"), ("float32", "bfloat16"))]
    assert takes == [True, False, False, False]
    assert PeerInfo("any", ()).takes("vgg16", "float32")


class TestMain:
    def test_who_is_not_installed_is_left_out(self, monkeypatch, capsys):
        monkeypatch.setitem(PEERS, "captum", PeerInfo("captum", ("numpy", "no_such_library")))
        monkeypatch.setitem(PEERS, "xplique", PeerInfo("xplique", ("numpy",)))
        assert benchmark.installed(["xplique", "captum", OURS]) == [OURS, "xplique"]
        assert capsys.readouterr().out == "- captum: left out, no_such_library not installed\n"

    @pytest.mark.parametrize(
        "flags, message",
        [
            (["--peers", "lime"], "no peer 'lime'; there are ours, plain_torch"),
            (["--networks", "alexnet"], "no network 'alexnet'; there are vgg16"),
            (["--json", "/dev/null/x/report.json"], "/dev/null/x"),
        ],
    )
    def test_a_mistake_is_told_at_once(self, flags, message):
        with pytest.raises((KeyError, OSError), match=message):
            benchmark.main(["--quick", *flags])

    def test_from_end_to_end(self, monkeypatch, tmp_path, capsys):
        answer = {"convolutions": [{"batch": 1, "per_second": 1e12}], "matmul": 1e12, "bytes": 1e10}
        monkeypatch.setattr(limits, "measure", lambda *_: {"tensorflow": dict.fromkeys(limits.SIZES, answer)})
        monkeypatch.setattr(startup, "import_tensorflow", lambda rounds: [2.4] * rounds)
        monkeypatch.setitem(PEERS, "plain_torch", PeerInfo("plain PyTorch", ("no_such_library",)))
        out = tmp_path / "report.json"
        flags = ["--quick", "--networks", SMALL, "--rounds", "1", "--json", str(out)]
        benchmark.main([*flags, "--weights-folder", str(tmp_path / "weights")])
        report = json.loads(out.read_text())
        (measured,) = report["networks"]
        (contest,) = measured["contests"]
        assert {(one["task"], one["batch"]) for one in contest["timings"]} == {(t, 1) for t in PEERS[OURS].tasks}
        assert not contest["notes"]
        (begun,) = measured["startups"]
        assert begun["note"] == ""
        assert begun["seconds"][0] > 0
        assert 0 < begun["cam_mb"] <= 1.2 * begun["both_mb"]
        printed = capsys.readouterr().out
        assert "- plain PyTorch: left out" in printed
        assert f"| {SMALL}, float32, ms a picture | CAM | guided | CAM + guided | 10 classes |" in printed
        assert {path.name.split(".")[0] for path in (tmp_path / "weights").iterdir()} == {SMALL}
