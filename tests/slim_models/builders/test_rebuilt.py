"""The network as it is built again: batch norm folded into its variables, a few places as a product of matrices."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from benchmarking.agreement import correlation

import slim_models
from gradcam.evaluation import sanity
from gradcam.evaluation.datasets.examples import read_examples
from gradcam.explainer import Explainer
from gradcam.methods import methods_named
from gradcam.pictures.photograph import Photograph
from slim_models.builders import layers

pytestmark = pytest.mark.filterwarnings("ignore:this processor has no quick units")
THIN = {"width_divisor": 8, "num_classes": 10}


def types(network):
    return {operation.type for operation in network.graph.get_operations()}


@pytest.fixture
def half(thin):
    return thin.network.in_precision("bfloat16")


class TestFolded:
    def test_in_float32_every_endpoint_is_the_ordinary_network_s(self, thin, half):
        """The same numbers but for rounding, so that what bfloat16 changes is its rounding alone."""
        again = half.in_precision("float32")
        assert again.precision == "float32"
        found = []
        for network in (thin.network, again):
            options = {"layers": list(network.endpoints), "rules": slim_models.RULES}
            with Explainer(network, thin.weights, **options) as explainer:
                found.append(explainer.explain(thin.images, 3).arrays())
        expected, other = found
        for name, array in expected.items():
            np.testing.assert_allclose(other[name], array, atol=2e-5 * np.abs(array).max(), err_msg=name)

    def test_no_batch_norm_is_left(self, thin, half):
        assert not any("BatchNorm" in type_ for type_ in types(half))
        assert not any("BatchNorm" in name for name in half.variables())
        ordinary = {name for name in thin.network.variables() if "BatchNorm" not in name}
        gammas = {name for name in thin.network.variables() if name.endswith("/BatchNorm/gamma")}
        assert set(half.variables()) == ordinary | {name.replace("BatchNorm/gamma", "biases") for name in gammas}

    def test_the_network_asked_for_is_not_folded(self, thin):
        half = slim_models.build(thin.network.name, image_size=64, precision="bfloat16", **THIN)
        assert set(half.variables()) == set(thin.network.variables())

    def test_weights_that_do_not_fit_are_told_as_ever(self, thin, half):
        first = next(name for name in thin.weights if not name.endswith(("weights", "biases")) or "vgg" in half.name)
        weights = {**thin.weights, "conv6/weights": np.zeros(1)}
        del weights[first]
        for network in (thin.network, half):
            message = rf"do not fit {network.name}: 1 missing \({first}\); 1 unexpected \(conv6/weights\)"
            with pytest.raises(ValueError, match=message):
                Explainer(network, weights)

    def test_random_weights_and_the_trained_ones_again(self, thin):
        with Explainer(thin.network, thin.weights, precision="bfloat16") as explainer:
            before = explainer.predict(thin.images)
            methods = methods_named(["grad_cam"])
            rows = sanity.randomization_test(explainer, thin.weights, thin.images[:1], 3, methods)
            np.testing.assert_array_equal(explainer.predict(thin.images), before)
        with Explainer(thin.network, thin.weights) as explainer:
            expected = sanity.randomization_test(explainer, thin.weights, thin.images[:1], 3, methods)
        assert [row["layer"] for row in rows] == [row["layer"] for row in expected]


@pytest.fixture(scope="module")
def explained():
    """Photographs explained in float32, in bfloat16 with batch norm left as it is, and in bfloat16 built again."""
    network = slim_models.build("resnet_v1_50_tiny")
    networks = {
        "full": network,
        "plain": slim_models.build("resnet_v1_50_tiny", precision="bfloat16"),
        "folded": network.in_precision("bfloat16"),
    }
    photographs = [Photograph(example.name, example.read()) for example in read_examples("samples")]
    images = np.stack([photograph.fitted(network.image_size) for photograph in photographs])
    found = {}
    for name, one in networks.items():
        with Explainer(one) as explainer:
            found[name] = explainer.explain(images, found["full"].targets if found else None)
    return found


def test_a_trained_network_says_the_same(explained):
    """Rounding the biases too moves the maps further than rounding the weights alone: next to nothing."""
    full = explained["full"]
    assert (explained["folded"].logits.argmax(1) == full.targets).all()

    def distance(name, kind):
        of = {"cam": lambda one: one.cam(), "guided": lambda one: one.saliency["guided"]}[kind]
        return 1 - np.mean([correlation(a, b) for a, b in zip(of(explained[name]), of(full))])

    assert distance("folded", "cam") < min(3e-4, 3 * distance("plain", "cam"))
    assert distance("folded", "guided") < 1.1 * distance("plain", "guided") < 0.05


class TestProducts:
    @pytest.mark.parametrize("normalizer", [None, layers.batch_norm])
    def test_it_is_the_convolution(self, normalizer):
        """Of 7 x 7 places a product, of 7 x 8 a convolution; the same variables, and the sums of NumPy."""
        rng = np.random.default_rng(0)
        values = {"a/weights": rng.normal(size=(1, 1, 16, 5)), "a/biases": rng.normal(size=5)}
        found, expected, kinds, names = [], [], [], []
        for width in (7, 8):
            images = rng.normal(size=(3, 7, width, 16))
            with tf.Graph().as_default() as graph, tf.Session() as session:
                inputs = tf.cast(tf.constant(images), tf.bfloat16)
                outputs = layers.conv2d(inputs, 5, 1, scope="a", normalizer=normalizer)
                session.run(tf.global_variables_initializer())
                names.append({v.op.name: v.shape.as_list() for v in tf.global_variables()})
                for variable in tf.global_variables():
                    if variable.op.name in values:
                        value = values[variable.op.name].astype(variable.dtype.as_numpy_dtype)
                        session.run(variable.initializer, {variable.initializer.inputs[1]: value})
                found.append(session.run(tf.cast(outputs, tf.float32)))
                kinds.append("Conv2D" in {operation.type for operation in graph.get_operations()})
            product = np.einsum("nhwk,km->nhwm", images, values["a/weights"][0, 0])
            expected.append(np.maximum(product + (values["a/biases"] if normalizer is None else 0), 0))
        assert kinds == [False, True]
        assert names[0] == names[1]
        for got, want in zip(found, expected):
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, atol=0.03 * want.max())

    def test_float32_has_none_forward(self, thin):
        network = slim_models.build(thin.network.name, image_size=64, **THIN)
        assert not [type_ for type_ in types(network) if "BatchMatMul" in type_]

    def test_classes_of_one_picture_share_the_forward_pass(self, thin, half):
        """What the backward passes read has N as its first axis, or the forward pass could not be shared."""
        with Explainer(half, thin.weights) as explainer:
            read = explainer.session.run(explainer._fetches._read, {half.images: thin.images[:1]})
            shared = explainer.explain_classes(thin.images[0], [3, 4])
            repeated = explainer.explain(np.repeat(thin.images[:1], 2, axis=0), [3, 4])
        assert {len(array) for array in read} == {1}
        for name, expected in repeated.arrays().items():
            np.testing.assert_allclose(shared.arrays()[name], expected, atol=0.02 * abs(expected).max(), err_msg=name)
