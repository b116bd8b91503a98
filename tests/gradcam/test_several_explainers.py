"""Several explainers of one network: at once, one after the other, after their end, and in a forked process."""

import os
import signal
import threading
import warnings

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import gradcam
import slim_models
from gradcam.explainer import Explainer
from slim_models.graphs import growing, kept
from slim_models.weights import random_weights

IMAGES = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)


def small(**others):
    return slim_models.build("mobilenet_v1", image_size=32, **{"num_classes": 5, "width_divisor": 16, **others})


@pytest.fixture(scope="module")
def network():
    return small()


@pytest.fixture(scope="module")
def weights(network):
    return random_weights(network)


def operations(network):
    return len(network.graph.get_operations())


def test_four_made_at_once_are_as_one_alone(weights):
    network, layers = small(), ["Conv2d_5_pointwise", "Conv2d_11_pointwise"]
    found, together = {}, threading.Barrier(4)

    def make(number):
        together.wait()
        try:
            with Explainer(network, weights, layers=layers[: 1 + number % 2], rules=["guided"][: number // 2]) as one:
                found[number] = one.explain(IMAGES, 1)
        except BaseException as error:
            found[number] = error

    threads = [threading.Thread(target=make, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Explainer(small(), weights, layers=layers) as alone:
        expected = alone.explain(IMAGES, 1)
    for number, explanation in found.items():
        assert isinstance(explanation, gradcam.Explanation), explanation
        assert len(explanation.gradients) == 1 + number % 2
        for layer, gradients in explanation.gradients.items():
            np.testing.assert_allclose(gradients, expected.gradients[layer], rtol=1e-4, atol=1e-9)
    assert len(found) == 4


def test_what_was_added_to_the_graph_is_used_again(network, weights):
    choices = [{}, {"rules": ["backprop"]}, {"layers": ["Conv2d_5_pointwise"], "layer_rules": ["deconvnet"]}]
    first = []
    for choice in choices:
        with Explainer(network, weights, **choice) as explainer:
            first.append(explainer.explain_classes(IMAGES[0], [1, 2]))
    before = operations(network)
    for choice, expected in zip(choices, first):
        with Explainer(network, weights, **choice) as explainer:
            again = explainer.explain_classes(IMAGES[0], [1, 2])
        for kind in ("gradients", "saliency"):
            assert getattr(again, kind).keys() == getattr(expected, kind).keys()
            for name, array in getattr(expected, kind).items():
                np.testing.assert_array_equal(getattr(again, kind)[name], array)
    assert operations(network) == before
    with Explainer(network, weights, layers=["Conv2d_3_pointwise"]):
        assert operations(network) > before


def test_values_copied_from_a_session_are_copied_by_the_same_operations():
    network = small(num_classes=6)  # whose graph is ended
    weights = random_weights(network)
    with tf.Session(graph=network.graph) as session:
        slim_models.assign_weights(session, network, weights)
        network.graph.finalize()
        copied = slim_models.load(session, logits=network.logits.name, images=network.images.name, prepared=True)
        counts, logits = [], []
        for _ in range(3):
            with Explainer(copied) as explainer:
                logits.append(explainer.predict(IMAGES))
            counts.append(operations(copied))
    assert len(set(counts)) == 1
    np.testing.assert_array_equal(logits[0], logits[2])


def test_what_is_kept_goes_with_its_graph():
    import gc
    import weakref

    graph = tf.Graph()
    made = kept(graph, "a", lambda: tf.constant(1.0))
    assert kept(graph, "a", lambda: tf.constant(2.0)) is made
    assert growing(graph) is growing(graph) is not growing(tf.Graph())
    with pytest.raises(ZeroDivisionError):
        kept(graph, "b", lambda: 1 / 0)
    assert kept(graph, "b", lambda: 3) == 3
    gone = weakref.ref(graph)
    del graph, made
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    "use",
    [
        lambda explainer: explainer.explain(IMAGES),
        lambda explainer: explainer.predict(IMAGES),
        lambda explainer: explainer.explain_classes(IMAGES[0], [0, 1]),
        lambda explainer: explainer.session,
    ],
    ids=["explain", "predict", "explain_classes", "session"],
)
def test_a_closed_explainer_says_so(network, weights, use):
    explainer = Explainer(network, weights)
    explainer.close()
    explainer.close()
    with pytest.raises(ValueError, match="this Explainer of mobilenet_v1 is closed"):
        use(explainer)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked on Windows")
@pytest.mark.parametrize("new", [False, True], ids=["an explainer of its parent", "one of its own"])
def test_a_forked_process_is_told_that_nothing_would_come_out(network, weights, new):
    with Explainer(network, weights) as explainer:
        explainer.predict(IMAGES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python's own: that there are threads
            child = os.fork()
        if not child:
            signal.alarm(30)
            code = 1
            try:
                (Explainer(network, weights) if new else explainer).explain(IMAGES)
            except ValueError as error:
                code = 42 if "forked" in str(error) and "spawn" in str(error) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


@pytest.fixture(scope="module")
def blank(network, weights):
    """An explanation of three pictures by a network whose weights are zeros."""
    with Explainer(network, {name: np.zeros_like(array) for name, array in weights.items()}) as explainer:
        return explainer.explain(np.repeat(IMAGES, 3, axis=0), [1, 2, 3])


class TestBlankMaps:
    def test_they_are_warned_of_in_one_line(self, blank):
        with pytest.warns(gradcam.BlankMapWarning, match=r"^the map of class 1 at \w+ for image 0 and 2 more is blank"):
            heatmap = blank.heatmap()
        assert not heatmap.any()

    def test_the_warning_can_be_filtered(self, blank):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", gradcam.BlankMapWarning)
            blank[1].heatmap()
            with pytest.raises(UserWarning, match="class 2"):
                warnings.simplefilter("error", gradcam.BlankMapWarning)
                blank[1].heatmap()

    def test_who_tells_himself_is_not_warned(self, blank):
        blank.arrays()  # pytest makes errors of warnings
        assert blank._repr_html_().count("the map is blank") == 3

    def test_no_other_map_is_warned_of(self, network, weights):
        with Explainer(network, weights, layers=["Conv2d_3_pointwise"]) as explainer:
            assert explainer.explain(IMAGES).heatmap("layer_cam").any()
