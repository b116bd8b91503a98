"""The scripts that measure this project alone, on thin networks: what they count, not how long it takes."""

import json
import re
import runpy
import sys
import time
from pathlib import Path

import benchmark_growth
import benchmark_layers
import benchmark_memory
import benchmark_methods
import benchmark_precision
import benchmark_start
import numpy as np
import pytest
from benchmarking import growth, measuring, tracing
from scripted import as_script, checked

import slim_models
from gradcam.pictures import read_image
from slim_models.weights import random_weights

SCRIPTS = Path(__file__).parents[2] / "scripts" / "benchmarks"


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """A thin VGG16 as a script has it."""
    network = slim_models.build("vgg16", image_size=48, width_divisor=8, num_classes=10)
    with as_script("vgg16", random_weights(network), tmp_path_factory.mktemp("weights")) as script:
        yield script


@pytest.mark.parametrize("name", ["benchmark_growth", "benchmark_layers", "benchmark_memory", "benchmark_methods"])
def test_a_mistake_is_one_line(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--network", "vgg61"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
    assert end.value.code == 2
    assert re.fullmatch(rf"{name}: no network 'vgg61'; the networks are .*\n", capsys.readouterr().err)


def test_what_methods_cost(thin_script, few_runs, capsys):
    arguments = [*thin_script.flags, "--methods", "guided_backprop", "smooth_grad", "--seconds", "0"]
    benchmark_methods.main(arguments)
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in rows[2:]] == [
        ["`guided_backprop`", "0"],
        ["`smooth_grad`", "3 backward"],  # as few as tests take
    ]
    assert all(float(cell) > 0 for row in rows[2:] for cell in row[2:])
    seen = []
    clock, _ = benchmark_methods.measured(lambda: (seen.append(1), time.sleep(0.02)), 0.05)
    assert clock >= 20 and 2 <= len(seen) <= 4


class TestNetworks:
    def test_without_a_file_weights_are_random(self, monkeypatch, capsys):
        def no_file(name):
            raise FileNotFoundError(name)

        monkeypatch.setattr(slim_models, "find_weights", no_file)
        network, weights = measuring.sized_network("vgg16_tiny", None, 64)
        slim_models.check_weights(network, weights)
        assert network.image_size == (64, 64)
        assert "vgg16_tiny at 64 x 64: random weights" in capsys.readouterr().err
        with pytest.raises(FileNotFoundError, match="nowhere"):
            measuring.sized_network("vgg16_tiny", "nowhere.npy")

    def test_of_another_size_only_fc6_is_another(self, vgg):
        network, weights = measuring.sized_network("vgg16", vgg.flags[3], 96)
        slim_models.check_weights(network, weights)
        shapes = {name: array.shape for name, array in weights.items()}
        assert shapes.pop("fc6/weights") == (3 * 3 * 64, 512)
        assert vgg.weights["fc6/weights"].shape == (2 * 2 * 64, 512)
        assert shapes == {name: array.shape for name, array in vgg.weights.items() if name != "fc6/weights"}


class TestGrowth:
    AMOUNT = growth.Amount(batches=(1, 3), sizes=(32, 80), classes=(1, 2, 20), seconds=0, least=2)

    def test_every_panel_has_all_its_points(self, vgg, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(benchmark_growth, "QUICK", self.AMOUNT)
        out = benchmark_growth.main([*vgg.flags, "--quick", "--out", str(tmp_path / "deeper")])
        assert out == tmp_path / "deeper" / "growth_vgg16.png"
        assert capsys.readouterr().out.split() == [str(out), str(out.with_suffix(".json"))]
        numbers = checked(out)
        assert (numbers["network"], numbers["precision"], numbers["image_size"]) == ("vgg16", "float32", [64, 64])
        tasks = ["CAM", "CAM + guided"]
        panels = numbers["panels"].items()
        found = {name: {line: [p["x"] for p in points] for line, points in lines.items()} for name, lines in panels}
        assert found == {
            "batch": {task: [1, 3] for task in tasks},
            "size": {task: [32 * 32 / 1e6, 80 * 80 / 1e6] for task in tasks},
            "classes": {f"{task}{way}": [1, 2, 20] for task in tasks for way in ("", ", picture repeated")},
            "layer": {"CAM": ["conv5_3", "conv4_3", "conv3_3", "conv2_2", "conv1_2", "conv1_1"]},
        }
        points = [p for _, lines in panels for line in lines.values() for p in line]
        assert all(0 < p["low"] <= p["median"] <= p["high"] and p["runs"] == 2 for p in points)

    def test_names_and_sizes_as_asked(self, vgg, tmp_path, monkeypatch):
        points = [{"x": 1, "median": 2.0, "low": 1.0, "high": 3.0, "runs": 2}]
        asked = []
        for name in ("by_batch", "by_classes", "by_layer"):
            monkeypatch.setattr(benchmark_growth, name, lambda subject: {"CAM": points})
        monkeypatch.setattr(benchmark_growth, "by_size", lambda subject, *_: asked.append(subject) or {"CAM": points})
        path = tmp_path / "numbers.json"
        benchmark_growth.main([*vgg.flags, "--out", str(tmp_path), "--json", str(path), "--sizes", "64", "96"])
        assert json.loads(path.read_text())["panels"]["size"] == {"CAM": points}
        assert [subject.amount.sizes for subject in asked] == [[64, 96]]
        assert sorted(p.name for p in tmp_path.iterdir()) == ["growth_vgg16.png", "numbers.json"]

    def test_a_point_is_of_a_picture(self, vgg):
        subject = growth.Subject(vgg.network, vgg.weights, "float32", self.AMOUNT)
        runs = []
        point = subject.point(4, lambda: runs.append(1), per=4)
        assert (len(runs), point["runs"], point["x"]) == (2 + 2, 2, 4)  # two to warm up

    def test_layers_of_a_resnet(self):
        network = slim_models.build("resnet_v1_50_tiny")
        assert growth.layers_down(network) == ["block4", "block2/unit_3", "block1/unit_2", "conv1"]


class TestMultiplications:
    def test_vgg16_by_hand(self):
        macs = benchmark_layers.layer_macs(slim_models.build("vgg16"))
        assert macs["conv1_1"] == 224 * 224 * 3 * 3 * 3 * 64
        assert macs["conv4_1"] == 28 * 28 * 3 * 3 * 256 * 512
        assert macs["fc6"] == 7 * 7 * 512 * 4096
        # In units of 224 x 224 x 9 x 64 x 64, a layer of twice the depth and half the size costs as much.
        convolutions = 3 / 64 + 1 + (1 / 2 + 1) + (1 / 2 + 1 + 1) + (1 / 2 + 1 + 1) + 3 * 1 / 4
        dense = 25088 * 4096 + 4096 * 4096 + 4096 * 1000
        assert sum(macs.values()) == convolutions * 224 * 224 * 9 * 64 * 64 + dense
        assert sum(macs.values()) / 1e9 == pytest.approx(15.47, abs=0.005)

    def test_resnet_by_hand(self):
        macs = benchmark_layers.layer_macs(slim_models.build("resnet_v1_50"))
        assert macs["resnet_v1_50/conv1"] == 112 * 112 * 7 * 7 * 3 * 64
        assert macs["resnet_v1_50/block1/unit_3/bottleneck_v1/conv2"] == 28 * 28 * 3 * 3 * 64 * 64  # its stride is 2
        assert macs["resnet_v1_50/block2/unit_1/bottleneck_v1/shortcut"] == 28 * 28 * 256 * 512
        assert macs["resnet_v1_50/logits"] == 2048 * 1000
        assert len(macs) == 1 + 16 * 3 + 4 + 1
        assert sum(macs.values()) / 1e9 == pytest.approx(3.48, abs=0.005)

    def test_dilation_costs_what_its_outputs_cost(self):
        macs = benchmark_layers.layer_macs(slim_models.build("resnet_v1_50_tiny"))
        assert macs["resnet_v1_50/block4/unit_2/bottleneck_v1/conv2"] == 7 * 7 * 3 * 3 * 128 * 128


def rows_of(markdown):
    """A table's cells by its rows' names."""
    lines = [line.strip("| ").split(" | ") for line in markdown.splitlines()]
    return {line[0]: dict(zip(lines[0][1:], line[1:])) for line in lines[2:]}


class TestLayers:
    def printed(self, capsys, *arguments):
        benchmark_layers.main([*map(str, arguments), "--runs", "2"])
        by_layer, by_type, rest = capsys.readouterr().out.split("\n\n")
        assert re.fullmatch(r"all operations [\d.]+ ms; a run without the trace [\d.]+ ms\n", rest)
        return rows_of(by_layer), rows_of(by_type)

    def test_a_cam_goes_back_no_further_than_its_layer(self, thin_script, graph_of_its_own, capsys):
        rows, kinds = self.printed(capsys, *thin_script.flags, "--task", "cam", "--batch", 2)
        name = thin_script.network.name
        assert next(iter(rows)) == {"vgg16": "conv1_1", "resnet_v1_50": "conv1"}[name]
        assert list(rows)[-1] == "all"
        assert list(rows["all"]) == ["ms forward", "ms backward", "GFLOP", "GFLOP/s"]
        heads = {"vgg16": {"fc6", "fc7", "fc8"}, "resnet_v1_50": {"logits"}}[name]
        assert heads < set(rows)
        assert all(float(cells["ms backward"]) == 0 for row, cells in rows.items() if row.startswith(("conv", "block")))
        macs = benchmark_layers.layer_macs(slim_models.build_for(name, thin_script.weights))
        back = sum(count for scope, count in macs.items() if scope.split("/")[-1] in heads)
        assert float(rows["all"]["GFLOP"]) == pytest.approx(2 * 2 * (sum(macs.values()) + back) / 1e9, abs=0.001)
        shares = [float(cells["share"].rstrip("%")) for cells in kinds.values()]
        assert sum(shares) == pytest.approx(100, abs=0.1 * len(shares))

    def test_guided_goes_back_through_all(self, vgg, capsys):
        rows, _ = self.printed(capsys, *vgg.flags, "--batch", 64)
        macs = benchmark_layers.layer_macs(slim_models.build_for("vgg16", vgg.weights))
        assert list(rows["all"]) == ["ms forward", "ms backward", "ms guided", "GFLOP", "GFLOP/s"]
        for layer in ("conv1_1", "conv3_2", "conv5_3"):
            assert float(rows[layer]["GFLOP"]) == pytest.approx(2 * 2 * 64 * macs[layer] / 1e9, abs=0.001)
            assert float(rows[layer]["ms guided"]) > 0
        # fc8 passes the same signal back in both directions, once.
        least = 2 * sum(macs.values()) + macs["fc6"] + macs["fc7"]
        assert float(rows["all"]["GFLOP"]) * 1e9 == pytest.approx(2 * 64 * least, rel=0.001)

    def test_labels_of_a_trace(self):
        label = "[mklcpu 0.4MB 0.4MB] conv1/Relu = _MklNativeFusedConv2D(sub, conv1/Conv2D/ReadVariableOp)"
        operation = tracing._operation("conv1/Relu", label, 1.0)
        assert (operation.type, operation.inputs) == ("_MklNativeFusedConv2D", ("sub", "conv1/Conv2D/ReadVariableOp"))
        assert operation.multiplies
        assert tracing._operation("x", "x = NoOp()", 1.0).inputs == ()
        assert tracing._operation("x", "", 1.0).type == "unknown"

    def test_places_of_operations(self, thin):
        places = tracing.Map(thin.explainer, benchmark_layers.layer_macs(slim_models.build(thin.network.name)))
        assert places.directions() == ["forward", "backward", *slim_models.RULES]
        names = [operation.name for operation in thin.network.graph.get_operations()]
        if thin.network.name == "vgg16":
            assert [places.layer(n) for n in ("conv1_1/Relu", "pool1/MaxPool", "fc6/MatMul", "sub")] == [
                "conv1_1",
                "pool1",
                "fc6",
                "other",
            ]
            assert places.layer("gradients/conv1_10/Relu_grad") == "other"
            return
        assert places.layer("resnet_v1_50/conv1/Conv2D") == "conv1"
        assert places.layer("resnet_v1_50/block1/unit_1/bottleneck_v1/conv1/Conv2D") == "block1/unit_1"
        # Other tests have added gradients of their own to the graph that they share.
        sums = [n for n in names if re.fullmatch(r"gradients\w*/AddN\w*", n) and places.direction(n) != "forward"]
        assert sums
        assert all(places.layer(name).startswith(("block", "pool1")) for name in sums)


class TestMemory:
    def test_a_line_of_least_squares(self):
        counts = np.arange(100, 1001, 100)
        found = benchmark_memory.growth(counts, 5000 + 3 * counts)
        assert found.slope == pytest.approx(3)
        assert found.total == pytest.approx(3 * 700)  # from 300: the first fifth is warm-up
        assert found.held == pytest.approx(5000 + 3 * 300)
        assert not found.flat
        assert str(found) == "+3.0000 KB an explanation, +35.59% of 5.8 MB: GROWS"

    @pytest.mark.parametrize("after", [[500] * 8, [500, 499, 500, 501, 501, 500, 499, 500], list(range(500, 420, -10))])
    def test_what_only_warms_up_or_shrinks_is_flat(self, after):
        found = benchmark_memory.growth(range(10, 101, 10), [100, 300, *after])
        assert found.flat
        assert str(found).endswith(": flat")

    def test_the_process_holds_what_it_is_given(self, monkeypatch):
        before = benchmark_memory.resident_kb()
        array = np.ones(2**26, np.uint8)
        assert benchmark_memory.resident_kb() - before > 50 * 1024
        del array

        def refuse(*_, **__):
            raise FileNotFoundError("no /proc here")

        monkeypatch.setattr(Path, "read_text", refuse)
        assert benchmark_memory.resident_kb() > before

    def test_the_peak_is_that_of_the_program_and_not_of_who_starts_it(self):
        pytest.importorskip("resource")
        held = np.ones(2**28, np.uint8)  # by this process
        peak = benchmark_memory.peak_kb([sys.executable, "-c", "b'x' * 2**27; print('not heard')"])
        assert 2**27 <= 1024 * peak < 2**28
        del held

    def test_a_folder_of_photographs_is_made_and_explained(self, monkeypatch, capsys):
        def told(command):
            assert command[1:4] == ["-m", "gradcam", "explain"]
            paths = [Path(word) for word in command if word.endswith(".jpg")]
            assert [read_image(path).shape for path in paths] == [(40, 60, 3)] * 3
            return next(peaks)

        peaks = iter([benchmark_memory.PROMISED - 1, benchmark_memory.PROMISED])
        monkeypatch.setattr(benchmark_memory, "peak_kb", told)
        flags = ["--photographs", "60x40", "--count", "3"]
        assert [benchmark_memory.main(flags) for _ in range(2)] == [True, False]
        assert re.match(r"3 photographs of 60 x 40: \d+\.\d s, at most 2000 MB\n", capsys.readouterr().out)

    def test_pictures_are_explained_in_all_ways_in_turns(self, vgg, monkeypatch):
        called = []
        for name in ("explain", "explain_classes", "predict"):
            method = getattr(type(vgg.explainer), name)

            def recorded(self, *args, name=name, method=method):
                called.append((name, len(args)))
                return method(self, *args)

            monkeypatch.setattr(type(vgg.explainer), name, recorded)
        assert list(benchmark_memory.explained(vgg.explainer, 2, 9)) == [2, 4, 6, 8, 10]
        assert called == [("explain", 1), ("explain", 2), ("explain_classes", 2), ("predict", 1), ("explain", 1)]

    def test_main_looks_every_so_often(self, vgg, capsys, monkeypatch):
        held = iter([900, 950, *[1000] * 8, *range(1000, 2000, 100)])
        monkeypatch.setattr(benchmark_memory, "resident_kb", lambda: next(held))
        flags = [*vgg.flags, "--explanations", "60", "--every", "6", "--batch", "4"]
        assert benchmark_memory.main(flags) is True
        lines = capsys.readouterr().out.splitlines()
        assert [int(line.split()[0]) for line in lines[1:-1]] == [8, 12, 20, 24, 32, 36, 44, 48, 56, 60]
        assert lines[-1].endswith("flat")
        assert benchmark_memory.main(flags) is False
        assert capsys.readouterr().out.endswith("GROWS\n")

    @pytest.mark.parametrize("flags", [("--explanations", "99", "--every", "10"), ("--batch", "9", "--every", "8")])
    def test_too_few_looks(self, flags):
        with pytest.raises(ValueError, match="at least 10 times --every"):
            benchmark_memory.main(list(flags))


class TestPrecision:
    def test_summary_of_made_up_pictures(self):
        row = {"changed": False, "wrong_float32": False, "wrong_bfloat16": False}
        row |= {"apart_float32": True, "apart_bfloat16": False, "cam": 1.0, "guided": 0.5}
        other = {**row, "changed": True, "wrong_bfloat16": True, "cam": 0.9, "guided": 0.7}
        found = benchmark_precision.summary([row, other])
        expected = {"changed": 50, "wrong_float32": 0, "wrong_bfloat16": 50, "apart_float32": 100, "apart_bfloat16": 0}
        expected |= {"cam": 0.95, "cam_low": 0.905, "guided": 0.6, "guided_low": 0.51}
        assert found == pytest.approx(expected)
        assert found.keys() == benchmark_precision.COLUMNS.keys()

    @pytest.mark.filterwarnings("ignore:this processor has no quick units")
    def test_both_precisions_of_a_real_network(self, tmp_path, capsys):
        flags = ["--network", "resnet_v1_50_tiny", "--limit", "3", "--batch", "2", "--json", str(tmp_path / "p.json")]
        table = benchmark_precision.main(flags)
        cells = table["resnet_v1_50_tiny"]
        assert 0.99 < cells["cam"] < 1 and 0.9 < cells["guided"] < 1  # close, but not the same numbers
        assert json.loads((tmp_path / "p.json").read_text())["pictures"] == 3
        assert "| resnet_v1_50_tiny | 0.0 |" in capsys.readouterr().out

    def test_mistakes(self):
        with pytest.raises(ValueError, match="at least 1"):
            benchmark_precision.main(["--limit", "0"])


class TestStart:
    def test_a_table(self, monkeypatch, capsys):
        """Without the processes: what they would take is told by their commands."""
        took = {"-c": (3, 2), "-m": (4, 2.5)}
        monkeypatch.setattr(benchmark_start, "seconds_of", lambda command: benchmark_start.Seconds(*took[command[1]]))
        found = benchmark_start.main(["--networks", "vgg16_tiny", "--rounds", "2"])
        assert found["vgg16_tiny"] == [(4, 2.5)] * 2
        assert capsys.readouterr().out.splitlines()[2:] == [
            "| import tensorflow | 3.00 | 3.00 | 2.00 | 2.00 |",
            "| vgg16_tiny | 4.00 | 4.00 | 2.50 | 2.50 |",
        ]

    def test_what_is_started_explains(self, tmp_path):
        command = benchmark_start.explaining("vgg16_tiny", tmp_path)
        assert all(seconds > 0 for seconds in benchmark_start.seconds_of([sys.executable, *command]))
        assert list((tmp_path / "out").glob("*overlay*"))
