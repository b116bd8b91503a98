"""Figure 1, the ablations, boxes, and all scripts at once, on thin networks; their numbers by a second way."""

import json
import pathlib
import types

import numpy as np
import pytest
import reproduce_ablations
import reproduce_all
import reproduce_boxes
import reproduce_figure1
from PIL import Image
from scripted import checked, close

from gradcam import boxes, figures
from gradcam.cams import grad_cam
from gradcam.cli import reproduction
from gradcam.perturbation.occlusion import occlusion_map
from gradcam.pictures import Photograph, plain
from gradcam.pictures.photograph import read_photograph
from slim_models.labels import read_labels
from slim_models.mistakes import BadValue


def test_figure1(thin_script, tmp_path):
    resnet = ["--resnet", thin_script.flags[1], "--resnet-weights", thin_script.flags[3]]
    classes = ["--images", "sample:chelsea", "sample:coffee", "--classes", "3", "7", "--stride", "16", "--patch", "16"]
    numbers = checked(
        reproduce_figure1.main([*thin_script.flags, *resnet, *classes, "--out", str(tmp_path / "figure1.png")])
    )
    assert [(row["image"], row["class"]) for row in numbers["rows"]] == [
        (f"sample:{image}", f"class {target}") for image in ("chelsea", "coffee") for target in (3, 7)
    ]
    assert numbers["networks"] == [numbers["resnet"]]
    assert numbers["resnet"] == {
        "network": thin_script.network.name,
        "weights": thin_script.explainer.fingerprint,
        "layer": thin_script.network.default_layer,
    }
    image = read_photograph("sample:coffee").fitted(thin_script.network.image_size)
    explanation = thin_script.explainer.explain(image[None], 7)
    row = numbers["rows"][3]
    close(row["cam"], explanation.cam()[0])
    close(row["resnet_cam"], explanation.cam()[0])  # here the same network
    close(row["occlusion"], occlusion_map(thin_script.explainer.predict, image, 7, patch=16, stride=16))
    assert row["probability"] == pytest.approx(explanation.probabilities[0, 7], rel=1e-3)


def test_ablations(thin_script, tmp_path):
    arguments = ["--images", "sample:coffee", "--classes", "2", "--out", str(tmp_path / "ablations.png")]
    (row,) = checked(reproduce_ablations.main([*thin_script.flags, *arguments]))["rows"]
    image = read_photograph("sample:coffee").fitted(thin_script.network.image_size)[None]
    layer = thin_script.network.default_layer
    explanation = thin_script.explainer.explain(image, 2)
    activations, gradients = explanation.activations[layer][0], explanation.gradients[layer][0]
    close(row["cams"]["grad_cam"], np.maximum(activations @ gradients.mean(axis=(0, 1)), 0))
    close(row["cams"]["max_pooled"], np.maximum(activations @ gradients.max(axis=(0, 1)), 0))
    signed = activations @ gradients.mean(axis=(0, 1))
    close(row["cams"]["without_relu"], signed - signed.min())
    for rule in ("guided", "deconvnet"):
        signal = explanation.signals[rule][layer]
        close(row["cams"][f"{rule}_gradient"], grad_cam(explanation.activations[layer], signal)[0])


class TestBoxes:
    def test_they_are_those_of_the_maps(self, thin_script, tmp_path):
        data = tmp_path / "data.csv"
        Image.fromarray(read_photograph("sample:coffee").pixels).save(tmp_path / "coffee.png")
        data.write_text("path,class,boxes\ncoffee.png,4,173 18 409 308; 0 0 100 100\ncoffee.png,5,\n")
        arguments = [
            "--data",
            str(data),
            "--methods",
            "grad_cam",
            "--threshold",
            "0.4",
            "--out",
            str(tmp_path / "b.png"),
        ]
        numbers = checked(reproduce_boxes.main([*thin_script.flags, *arguments]))
        (row,) = numbers["rows"]  # the picture without a box is left out
        photograph = read_photograph(str(tmp_path / "coffee.png"))
        explanation = thin_script.explainer.explain(photograph.fitted(thin_script.network.image_size)[None], 4)
        expected = boxes.box_of(photograph.heatmap(explanation.cam()[0]), 0.4)
        assert row["boxes"]["grad_cam"] == pytest.approx(expected, abs=2)
        best = max(boxes.iou(row["boxes"]["grad_cam"], true) for true in ((173, 18, 409, 308), (0, 0, 100, 100)))
        assert row["iou"]["grad_cam"] == pytest.approx(best, rel=1e-5)
        assert "above 40 % of the maximum" in numbers["protocol"]

    def test_nothing_to_draw(self, thin_script, tmp_path):
        with pytest.raises(ValueError, match="--count is 0"):
            reproduce_boxes.main([*thin_script.flags, "--count", "0", "--out", str(tmp_path / "b.png")])
        assert not list(tmp_path.iterdir())


class TestAll:
    def test_every_script_is_among_them(self):
        scripts = {path.stem for path in reproduce_all.SCRIPTS.glob("reproduce_*.py")}
        assert scripts - {"reproduce_all"} == {f"reproduce_{name}" for name in reproduce_all.FIGURES}

    def test_each_gets_its_network_and_a_failure_does_not_stop_the_others(self, monkeypatch, tmp_path, capsys):
        seen = {}

        def script(path):
            def main(flags):
                if name == "reproduce_table1":
                    raise BadValue("no boxes")
                seen[name] = flags

            name = pathlib.Path(path).stem
            return {"main": main}

        monkeypatch.setattr(reproduce_all.runpy, "run_path", script)
        arguments = ["--vgg", "vgg16", "--resnet-weights", "r.ckpt", "--data", "d", "--out", str(tmp_path)]
        with pytest.raises(ValueError, match="1 of 12 failed: table1"):
            reproduce_all.main(arguments)
        resnet = ["--network", "resnet_v1_50_tiny", "--weights", "r.ckpt"]
        both = ["--network", "vgg16", "--resnet", "resnet_v1_50_tiny", "--resnet-weights", "r.ckpt"]
        assert seen["reproduce_pointing"] == ["--out", str(tmp_path / "pointing.png"), *resnet, "--data", "d"]
        assert seen["reproduce_layers"] == ["--out", str(tmp_path / "layers.png"), *both]
        assert len(seen) == 11
        assert "table1: no boxes" in capsys.readouterr().err

    def test_a_name_that_is_none(self):
        with pytest.raises(KeyError, match="no figure or table 'figure2'; there are figure1, "):
            reproduce_all.main(["--only", "figure2"])


class TestShared:
    def test_a_figure_s_name(self, thin_script, tmp_path, capsys):
        for name in ("t.csv", "t.json", "t", "folder/"):
            with pytest.raises(SystemExit) as stop:
                reproduce_figure1.main([*thin_script.flags, "--out", str(tmp_path / name)])
            assert stop.value.code == 2
            assert "it must end in .png, .pdf, .svg" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (("--opacity", "2"), "--opacity must be from 0 to 1, not 2"),
            (("--colormap", "rainbow"), "no colormap 'rainbow'; the colormaps are viridis, "),
            (("--scale", "log"), "no scale 'log'; the scales are own, shared"),
        ],
    )
    def test_how_maps_are_drawn_is_checked_before_anything_is_computed(self, flags, words, thin_script, tmp_path):
        with pytest.raises((ValueError, KeyError), match=words):
            reproduce_figure1.main([*thin_script.flags, *flags, "--out", str(tmp_path / "figure1.png")])
        assert not list(tmp_path.iterdir())

    def test_how_maps_are_drawn_is_what_the_flags_say(self, tmp_path):
        """One map is half as strong as the other: on a shared scale and alone, its brightest level is 128 of 255."""
        parser = reproduction.arguments(None, None, str(tmp_path / "out.png"))
        args = reproduction.parsed(parser, ["--scale", "shared", "--colormap", "gray", "--opacity", "1"])
        photograph = Photograph("black", np.zeros((2, 2, 3), np.uint8))
        row = [(str(peak), figures.Overlay(photograph, np.array([[0, peak], [0, 0.0]]))) for peak in (1, 2)]
        top, bottom = reproduction.drawn(args, [row], [""], ["Of nothing."]).subfigs
        assert [axis.images[0].get_array().max() for axis in top.axes] == [128, 255]
        assert bottom.get_supxlabel() == "Of nothing."

    def test_json_has_no_nan(self):
        found = plain({"a": [float("nan"), np.float32(1.23456789)], "b": np.array([[1, 2]]), "c": (True, "x")})
        assert found == {"a": [None, 1.23457], "b": [[1, 2]], "c": [True, "x"]}
        assert json.dumps(found)

    def test_classes_of_two_networks_are_the_same_classes(self, thin_script):
        """The 100th of ImageNet's thousand is no 100th of Tiny ImageNet's two hundred."""
        imagenet, tiny = (
            types.SimpleNamespace(
                labels=labels, index=labels.index, network=types.SimpleNamespace(name="n", num_classes=c)
            )
            for labels, c in ((read_labels("imagenet"), 1000), (read_labels("tiny_imagenet"), 200))
        )
        assert reproduction.same_classes(imagenet, tiny, ["967", "tabby"]) == ["n07920052", "n02123045"]
        assert tiny.index("n07920052") != 967
        assert reproduction.same_classes(thin_script.explainer, thin_script.explainer, ["3"]) == [3]
        with pytest.raises(ValueError, match="different classes, not all with names"):
            reproduction.same_classes(imagenet, thin_script.explainer, ["3"])
