"""Which preprocessing a graph wants, by what it recognises: the embedded networks, fed behind their own."""

import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from foreign import frozen, load, write_pb

import slim_models
from gradcam.explainer import Explainer
from gradcam.pictures.samples import SAMPLES
from slim_models.builders.preprocessing import PREPROCESSINGS
from slim_models.labels import read_labels
from slim_models.loading.evidence import ranked
from slim_models.loading.trials import Trial, photographs
from slim_models.mistakes import BadValue


@pytest.fixture(scope="module", params=["resnet_v1_50_tiny", "vgg16_tiny"])
def tiny(request, tmp_path_factory):
    """An embedded network, its own preprocessing, the name of the tensor behind it, and its frozen graph."""
    network = slim_models.build(request.param)
    with Explainer(network, rules=[]) as explainer:
        graph_def = frozen(network, explainer.session, network.logits)
    last = {"resnet_v1_50_tiny": "Sub", "vgg16_tiny": "ReverseV2"}[request.param]
    behind = next(node.name for node in graph_def.node if node.op == last)
    wanted = {"Sub": "subtract_mean", "ReverseV2": "caffe_bgr"}[last]
    return write_pb(tmp_path_factory.mktemp("tiny") / f"{request.param}.pb", graph_def), wanted, behind


def test_behind_its_preprocessing(tiny):
    path, wanted, behind = tiny
    lines = []
    if wanted == "caffe_bgr":
        # The small VGG16, without batch norm, knows photographs in false colours, and with their mean, as well.
        alike = "|".join(map(", ".join, itertools.permutations(["none", "subtract_mean", "caffe_bgr"])))
        with pytest.raises(BadValue, match=f"({alike}) are too close to call, and only its scale is certain"):
            load(path, images=behind, labels="tiny_imagenet", preprocessing=None)
        return
    network = load(path, images=behind, labels="tiny_imagenet", preprocessing=None, say=lines.append)
    line = next(line for line in lines if line.startswith("preprocessing"))
    assert line.startswith(f"preprocessing: {wanted} (guessed")
    assert "which order it takes the channels is not certain" in line
    assert network.images.shape.as_list() == [None, 112, 112, 3]


def test_before_its_preprocessing(tiny):
    path, _, _ = tiny
    lines = []
    load(path, labels="tiny_imagenet", preprocessing=None, say=lines.append)
    assert "preprocessing: none (found: the graph subtracts (123.7, 116.8, 103.9) itself)" in lines


@pytest.mark.parametrize("scale", ["minus_one_to_one", "zero_to_one", "standardized"])
def test_networks_of_other_ranges(scale, tmp_path):
    """The ResNet behind the inverse of another preprocessing, whose first layer has taken the rest up."""
    inverse = {
        "minus_one_to_one": lambda net: (net + 1) * 127.5,
        "zero_to_one": lambda net: net * 255.0,
        "standardized": lambda net: (net * tf.constant([0.229, 0.224, 0.225]) + [0.485, 0.456, 0.406]) * 255.0,
    }[scale]
    network = slim_models.build("resnet_v1_50_tiny")
    with Explainer(network, rules=[]) as explainer:
        graph_def = frozen(network, explainer.session, network.logits)
    with tf.Graph().as_default() as graph:
        inputs = tf.placeholder(tf.float32, [None, 112, 112, 3], name="inputs")
        # What an average pooling is in front of is not taken for the graph's own arithmetic.
        tf.import_graph_def(graph_def, {"images:0": inverse(tf.nn.avg_pool2d(inputs, 1, 1, "SAME"))}, name="")
    path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    lines = []
    load(path, images="inputs", labels="tiny_imagenet", preprocessing=None, say=lines.append)
    assert [line for line in lines if line.startswith(f"preprocessing: {scale} (guessed")], lines[1]


@pytest.mark.parametrize(
    ("given", "bgr", "first"),
    [
        # Without batch norm: the best, but for the order of channels, in which custom decides what is close.
        ({"zero_to_one": 0.95, "minus_one_to_one": 0.7}, False, "zero_to_one"),
        ({"subtract_mean": 0.5, "caffe_bgr": 0.6}, False, "subtract_mean"),
        ({"subtract_mean": 0.6, "caffe_bgr": 0.5}, True, "caffe_bgr"),
        ({"subtract_mean": 0.3, "caffe_bgr": 0.6}, False, "caffe_bgr"),
        ({"subtract_mean": 0.5, "caffe_bgr": 0.6, "none": 0.55}, False, "subtract_mean"),
        # With one: of what is close, that which it is used to; of what is not, the best.
        ({"standardized": (0.6, 0.03), "minus_one_to_one": (0.7, 0.35)}, False, "standardized"),
        ({"standardized": (0.3, 0.03), "minus_one_to_one": (0.7, 0.35)}, False, "minus_one_to_one"),
        ({"standardized": (0.16, 0.02), "minus_one_to_one": (0.37, 0.39)}, False, "standardized"),
        ({"standardized": (0.16, 0.06), "minus_one_to_one": (0.37, 0.39)}, False, "minus_one_to_one"),
        ({"subtract_mean": (0.5, 0.031), "caffe_bgr": (0.6, 0.029)}, False, "subtract_mean"),
        # With nothing but one.
        ({"none": (None, 2.0), "zero_to_one": (None, 0.1), "caffe_bgr": (None, 3.0)}, False, "zero_to_one"),
    ],
)
def test_which_evidence_counts(given, bgr, first):
    trials = {name: Trial(*(found if isinstance(found, tuple) else (found, None))) for name, found in given.items()}
    known = next(iter(trials.values()))  # of the others, as much is known, and it speaks against them
    bad = Trial(known.probability and 0.01, None if known.divergence is None else 9.0)
    assert ranked({name: trials.get(name, bad) for name in PREPROCESSINGS}, "caffe_bgr" if bgr else None)[0] == first


@pytest.mark.parametrize("wanted", ["subtract_mean", "none"])
def test_classes_that_nobody_knows(wanted, tmp_path):
    """The first batch norm alone tells; where there is none, nothing does."""
    for name, conv in (("resnet_v1_50_tiny", "Sub"), ("vgg16_tiny", "Sub")):
        network = slim_models.build(name)
        with Explainer(network, rules=[]) as explainer:
            graph_def = frozen(network, explainer.session, network.logits)
        images = next(node.name for node in graph_def.node if node.op == conv) if wanted != "none" else None
        path = write_pb(tmp_path / f"{name}.pb", graph_def)
        if name == "vgg16_tiny" and images:
            with pytest.raises(ValueError, match=r"cannot be told.*no evidence.*give preprocessing"):
                load(path, images=images, preprocessing=None)
            continue
        lines = []
        load(path, images=images, preprocessing=None, say=lines.append)
        how = "guessed by photographs: 0.0" if images else "found: the graph subtracts"
        assert [line for line in lines if line.startswith(f"preprocessing: {wanted} ({how}")], lines[-2]


def test_a_network_that_recognises_nothing(tiny, tmp_path):
    path, _, behind = tiny
    names = list(reversed(read_labels("tiny_imagenet").wnids))
    listed = tmp_path / "reversed.txt"
    listed.write_text("".join(f"{wnid}\t{wnid}\n" for wnid in names))
    with pytest.raises(ValueError, match="cannot be told, as under no preprocessing.* give preprocessing, one of none"):
        load(path, images=behind, labels=listed, preprocessing=None)


def test_the_photographs_are_what_they_are_said_to_be():
    wnids = read_labels("imagenet").wnids
    pictures, classes = photographs(wnids)
    assert [picture.shape for picture in pictures] == [(224, 224, 3)] * 3
    names = [read_labels("imagenet").names[indices[0]] for indices in classes]
    assert names == ["military uniform", "espresso", "tabby, tabby cat"]
    for picture, sample in zip(pictures, ("grace_hopper", "coffee", "chelsea"), strict=True):
        colours = SAMPLES[sample]().reshape(-1, 3).mean(0)
        np.testing.assert_allclose(picture.reshape(-1, 3).mean(0), colours, atol=35)  # RGB, of that photograph


def test_every_preprocessing_by_hand():
    """One pixel, RGB (255, 0, 51)."""
    expected = {
        "none": (255, 0, 51),
        "minus_one_to_one": (1, -1, -0.6),
        "zero_to_one": (1, 0, 0.2),
        "subtract_mean": (131.32, -116.779, -52.939),
        "caffe_bgr": (-52.939, -116.779, 131.32),
        "bgr": (51, 0, 255),
        "standardized": ((1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225),
    }
    assert set(expected) == set(PREPROCESSINGS)
    with tf.Graph().as_default(), tf.Session() as session:
        pixel = tf.constant([[[[255.0, 0, 51]]]])
        for name, prepare in PREPROCESSINGS.items():
            np.testing.assert_allclose(session.run(prepare(pixel))[0, 0, 0], expected[name], rtol=1e-5, atol=1e-5)
