"""`gradcam evaluate`: the same numbers as the scripts that reproduce tables, of any network."""

import json

import numpy as np
import pytest
import reproduce_faithfulness
import reproduce_pointing
import reproduce_sanity
import reproduce_table1
import reproduce_table3
import tensorflow.compat.v1 as tf
from foreign import classifier, write_pb
from fuzzing.readers import write_coco
from PIL import Image

from gradcam.cli import main

SCRIPTS = {
    "localization": reproduce_table1,
    "ablations": reproduce_table3,
    "pointing": reproduce_pointing,
    "faithfulness": reproduce_faithfulness,
}
FLAGS = ["--network", "vgg16_tiny", "--limit", "2", "--methods", "grad_cam"]


def numbers(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_table_is_that_of_its_script(kind, tmp_path, capsys):
    stride = ["--stride", "56"] if kind == "faithfulness" else []
    assert main(["evaluate", kind, *FLAGS, *stride, "--out", str(tmp_path / "ours.png")]) == 0
    printed = capsys.readouterr().out
    SCRIPTS[kind].main([*FLAGS, *stride, "--out", str(tmp_path / "scripts.png")])
    assert numbers(tmp_path / "ours.json") == numbers(tmp_path / "scripts.json")
    assert printed.replace("ours.", "scripts.") == capsys.readouterr().out
    assert "vgg16_tiny, samples: 2 pictures" in printed and "published" in printed
    assert (tmp_path / "ours.csv").read_text() == (tmp_path / "scripts.csv").read_text()


@pytest.mark.parametrize(
    ("kind", "metrics", "title"),
    [
        ("localization", ["max_box_acc", "energy"], "MaxBoxAcc"),
        ("faithfulness", ["average_drop", "sparseness"], "average drop (lower is better)"),
    ],
)
def test_metrics_by_name(kind, metrics, title, tmp_path, capsys):
    flags = ["--network", "vgg16_tiny", "--limit", "2", "--methods", "grad_cam", "--metric", *metrics]
    assert main(["evaluate", kind, *flags, "--out", str(tmp_path / "t.png")]) == 0
    found = numbers(tmp_path / "t.json")
    assert found["protocol"]["metrics"] == metrics and found["protocol"]["methods"] == [
        *("grad_cam", "random", "centre", "sobel")
    ]
    assert len({cell["table"] for cell in found["cells"]}) == 2 and title in capsys.readouterr().out


def test_sanity_over_a_data_set(tmp_path):
    flags = ["--network", "vgg16_tiny", "--methods", "grad_cam", "--seed", "3"]
    assert (
        main(["evaluate", "sanity", *flags, "--data", "samples", "--limit", "2", "--out", str(tmp_path / "a.png")]) == 0
    )
    pictures = ["--images", "sample:chelsea", "sample:coffee", "--classes", "tabby", "espresso"]
    reproduce_sanity.main([*flags, *pictures, "--out", str(tmp_path / "b.png")])
    ours, theirs = numbers(tmp_path / "a.json"), numbers(tmp_path / "b.json")
    assert (ours.pop("images"), theirs.pop("images")) == (["chelsea", "coffee"], ["sample:chelsea", "sample:coffee"])
    assert ours == theirs


def test_a_network_of_ones_own(tmp_path, capsys):
    """By its path, with names for its classes, on pictures of a list of one's own."""
    with tf.Graph().as_default() as graph:
        classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"), classes=3)
        path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    (tmp_path / "names.txt").write_text("cat\ndog\nbird\n")

    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("path,class,boxes\na.png,dog,0 0 20 20\n")
    own = ["--network", str(path), "--preprocessing", "none", "--network-labels", str(tmp_path / "names.txt")]
    flags = [*own, "--data", str(tmp_path / "list.csv"), "--methods", "grad_cam", "--out", str(tmp_path / "t.png")]
    assert main(["evaluate", "localization", *flags]) == 0
    assert numbers(tmp_path / "t.json")["pictures"] == 1
    capsys.readouterr()
    assert main(["evaluate", "sanity", *own, "--out", str(tmp_path / "s.png")]) == 2
    assert "has no weights by name" in capsys.readouterr().err


def test_the_pointing_game_of_torchray_on_coco(tmp_path, capsys):
    """A network that knows the data set's classes by name; two pictures with both, of which one is difficult."""
    with tf.Graph().as_default() as graph:
        classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"), classes=3)
        path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    (tmp_path / "names.txt").write_text("cat\ndog\nbird\n")
    write_coco(tmp_path)
    content = json.loads((tmp_path / "instances_val2014.json").read_text())
    content["categories"] = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    for item in content["annotations"][:2]:
        item["bbox"] = [1, 2, 9, 9]
    (tmp_path / "instances_val2014.json").write_text(json.dumps(content))
    own = ["--network", str(path), "--preprocessing", "none", "--network-labels", str(tmp_path / "names.txt")]
    flags = ["--data", str(tmp_path / "instances_val2014.json"), "--protocol", "torchray", "--tolerance", "500"]
    run = ["evaluate", "pointing", *own, *flags, "--classes", "2", "--methods", "grad_cam"]
    assert main([*run, "--out", str(tmp_path / "t.png")]) == 0
    found = {(cell["row"], cell["column"]): cell for cell in numbers(tmp_path / "t.json")["cells"]}
    assert found["Grad-CAM", "points at the class"]["count"] == 4
    assert found["Grad-CAM", "difficult ones"]["count"] == 2
    assert found["Grad-CAM", "points at the class"]["value"] == 100  # whatever the map: so large a tolerance
    assert found["Grad-CAM", "with recall"]["count"] == 2  # each picture once
    assert "mean over classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["localization", "--limit", "0"], "--limit must be at least 1, not 0"),
        (["pointing", "--data", "nothing.csv"], "there is nothing at nothing.csv"),
        (["faithfulness", "--methods", "cam", "--network", "vgg16_tiny"], "CAM needs the last layer of a network"),
        (["sanity", "--data", "samples", "--classes", "tabby"], "--data gives pictures and their classes"),
        (["ablations", "--threshold", "15"], "15"),
        (["faithfulness", "--metric", "deletion", "shap"], "no metric 'shap'; the metrics are occlusion, deletion, "),
        (["localization", "--metric", "deletion"], "no metric 'deletion'; the metrics are boxes, max_box_acc, "),
    ],
)
def test_mistakes_are_one_line(arguments, message, tmp_path, capsys):
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "t.png")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gradcam: ") and message in line
    assert not list(tmp_path.iterdir())
