"""Work that is not needed is not done: which operations run, how often, and that the numbers stay the same."""

import collections
import dataclasses
import hashlib
import re
import tracemalloc
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from executed import executed

import slim_models
from gradcam import runs as runs_of_explainers, sessions
from gradcam.explainer import Explainer
from slim_models.memory import aligned_bytes, freeze, lasting
from slim_models.weights import random_weights

THIN = {"width_divisor": 8, "num_classes": 10}
FORWARD_CONVOLUTIONS = {"vgg16": 13, "resnet_v1_50": 54}  # the ResNet's logits are a convolution
HEADS = {"vgg16": {"fc6/MatMul", "fc7/MatMul", "fc8/MatMul"}, "resnet_v1_50": {"resnet_v1_50/logits/Conv2D"}}


def count(found, *words):
    """How many nodes are of a type with one of the words in it, fused and renamed by TensorFlow or not."""
    return sum(len(nodes) for kind, nodes in found.items() if any(word in kind for word in words))


def forward_convolutions(found):
    nodes = [node for kind, nodes in found.items() if "Conv2D" in kind for node in nodes]
    return len([node for node in nodes if not node.name.startswith("gradients")])


def gone_back_through(found):
    """The layers whose weights the backward passes multiply by, as often as they do; by convolutions or products."""
    nodes = [node for kind, nodes in found.items() if "Conv2D" in kind or "MatMul" in kind for node in nodes]
    matches = [re.match(r"gradients[^/]*/(.*?)_grad/", node.name) for node in nodes]
    return collections.Counter(match[1] for match in matches if match)


class TestNothingIsComputedThatIsNotAsked:
    def test_a_prediction_has_no_backward_pass(self, whole):
        found = executed(whole.explainer.session, whole.network.logits, {whole.network.images: whole.images})
        assert forward_convolutions(found) == FORWARD_CONVOLUTIONS[whole.network.name]
        assert count(found, "Grad", "Backprop") == 0
        assert not gone_back_through(found)

    def test_a_cam_has_no_backward_pass_below_the_layer(self, whole):
        with Explainer(whole.network, whole.weights, rules=()) as explainer:
            found = executed(explainer.session, explainer._fetches.tensors, {whole.network.images: whole.images})
        assert forward_convolutions(found) == FORWARD_CONVOLUTIONS[whole.network.name]
        assert set(gone_back_through(found)) == HEADS[whole.network.name]

    def test_saliency_shares_the_forward_pass_with_the_cam(self, whole):
        with Explainer(whole.network, whole.weights) as explainer:
            found = executed(explainer.session, explainer._fetches.tensors, {whole.network.images: whole.images})
        convolutions = FORWARD_CONVOLUTIONS[whole.network.name]
        assert forward_convolutions(found) == convolutions
        # The ResNet's head has no ReLU: what goes back through it is the same under both rules, and done once.
        back = {layer: times for layer, times in gone_back_through(found).items() if layer.endswith("Conv2D")}
        assert len(back) == convolutions and set(back.values()) == {1}
        assert count(found, "BackpropFilter") == 0  # nobody asks for the gradients of weights

    def test_stored_batch_norm_has_no_training_gradient(self, thin):
        found = executed(thin.explainer.session, thin.explainer._fetches.tensors, {thin.network.images: thin.images})
        assert count(found, "FusedBatchNormGrad") == 0


@pytest.mark.parametrize("name", ["vgg16", "resnet_v1_50", "mobilenet_v1", "efficientnet_lite0"])
def test_what_tensorflow_is_not_to_optimise_changes_no_number(name, monkeypatch):
    network = slim_models.build(name, image_size=64, **THIN)
    weights, images = random_weights(network), np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3))
    found, layers = [], []
    for config in (sessions._config(network), tf.ConfigProto()):
        monkeypatch.setattr(sessions, "_config", lambda _, config=config: config)
        with Explainer(network, weights, rules=slim_models.RULES) as explainer:
            explanation = explainer.explain(images)
            nodes = executed(explainer.session, network.logits, {network.images: images})
        layers.append({kind: len(of) for kind, of in nodes.items() if re.search("Conv|MatMul|BatchNorm", kind)})
        found.append([explanation.logits, *explanation.gradients.values(), *explanation.saliency.values()])
    assert layers[0] == layers[1]  # what is fused is the same
    assert len(found[0]) == 2 + len(slim_models.RULES)
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())


class TestClassesOfOnePicture:
    @pytest.fixture
    def runs(self, thin, monkeypatch):
        """What is fed to each session run of the thin explainer."""
        found = []
        run = thin.explainer.session.run
        monkeypatch.setattr(
            thin.explainer.session, "run", lambda tensors, feed: found.append((tensors, feed)) or run(tensors, feed)
        )
        return found

    def test_the_forward_pass_is_run_once(self, thin, runs):
        thin.explainer.explain_classes(thin.images[0], range(10))
        session = thin.explainer.session
        assert len(runs) == 2
        (_, first), (backward, second) = runs
        assert len(first[thin.network.images]) == 1
        found = executed(types.SimpleNamespace(run=tf.Session.run.__get__(session)), backward, second)
        assert forward_convolutions(found) == 0
        weights = [name for name in thin.network.variables() if name.endswith("/weights")]
        assert len(gone_back_through(found)) == len(weights)

    def test_chunks_of_bounded_memory(self, thin, runs, monkeypatch):
        whole = thin.explainer.explain_classes(thin.images[0], range(5))
        read = sum(array.nbytes // len(array) for array in runs[1][1].values())
        runs.clear()
        monkeypatch.setattr(runs_of_explainers, "_MOST_BYTES", 2 * read + 1)
        chunked = thin.explainer.explain_classes(thin.images[0], range(5))
        assert [len(feed[thin.explainer._fetches.directions]) for _, feed in runs[1:]] == [2, 2, 1]
        for rule in slim_models.RULES:
            np.testing.assert_allclose(
                chunked.saliency[rule], whole.saliency[rule], atol=1e-5 * abs(whole.saliency[rule]).max()
            )
        np.testing.assert_array_equal(chunked.targets, whole.targets)

    def test_it_is_the_repeated_picture(self, thin):
        targets = [7, 0, 7, 2]
        shared = thin.explainer.explain_classes(thin.images[1], targets)
        repeated = thin.explainer.explain(np.repeat(thin.images[1:2], 4, axis=0), targets)
        for name, expected in repeated.arrays().items():
            got = shared.arrays()[name]
            assert got.dtype == expected.dtype and got.shape == expected.shape
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * abs(expected).max(), err_msg=name)

    def test_one_class_is_one_run(self, thin, runs):
        shared = thin.explainer.explain_classes(thin.images[0], [3])
        assert len(runs) == 1
        np.testing.assert_array_equal(shared.logits, thin.explainer.explain(thin.images[:1], 3).logits)

    def test_dilated_convolutions_which_share_no_forward_pass(self, monkeypatch):
        network = slim_models.build("resnet_v1_50_tiny", image_size=64, width_divisor=16, num_classes=10)
        image = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3))
        with Explainer(network, random_weights(network)) as explainer:
            repeated = explainer.explain(np.repeat(image, 2, axis=0), [3, 4])
            runs, run = [], explainer.session.run
            monkeypatch.setattr(explainer.session, "run", lambda *args: runs.append(args) or run(*args))
            shared = explainer.explain_classes(image[0], [3, 4])
            assert len(runs) == 1  # nothing is run to find that out
            classes = list(range(10)) * 4
            many = explainer.explain_classes(image[0], classes)
            assert [len(feed[network.images]) for _, feed in runs[1:]] == [14, 13, 13]
            np.testing.assert_array_equal(many.targets, classes)
            np.testing.assert_allclose(
                many.saliency["guided"][33],
                repeated.saliency["guided"][0],
                atol=1e-4 * abs(repeated.saliency["guided"]).max(),
            )
        for name, expected in repeated.arrays().items():
            np.testing.assert_allclose(shared.arrays()[name], expected, atol=1e-4 * abs(expected).max(), err_msg=name)

    def test_layers_and_their_signals(self, thin):
        options = {"rules": (), "layers": list(thin.network.endpoints)[-2:], "layer_rules": ["deconvnet"]}
        with Explainer(thin.network, thin.weights, **options) as explainer:
            shared = explainer.explain_classes(thin.images[0], [3, 4])
            one = explainer.explain(thin.images[:1], 4)
        for layer in options["layers"]:
            for rule in ("backprop", "deconvnet"):
                expected = one.cam(layer=layer, rule=rule)[0]
                np.testing.assert_allclose(shared.cam(layer=layer, rule=rule)[1], expected, atol=1e-4 * expected.max())

    def test_nothing_of_the_class_asked(self, thin):
        with Explainer(thin.network, thin.weights, rules=(), layers=[]) as explainer:
            explanation = explainer.explain_classes(thin.images[0], [1, 2])
        assert explanation.logits.shape == (2, 10)
        np.testing.assert_array_equal(explanation.targets, [1, 2])


def test_read_by_backward_is_what_the_chain_rule_needs():
    graph = tf.Graph()
    with graph.as_default(), slim_models.marked_relus(graph):
        images = tf.placeholder(tf.float32, [None, 2, 2, 3])
        hidden = tf.nn.relu(tf.reshape(images, [-1, 12]) @ tf.ones([12, 4]))
        unread = hidden + 1.0  # its gradient is 1
        logits = unread @ tf.ones([4, 5])
        (gradient,) = slim_models.gradients(tf.reduce_sum(logits[:, 0]), [images], "backprop")
    names = {tensor.name for tensor in slim_models.read_by_backward(images, logits, [gradient])}
    assert hidden.name in names
    read_shapes_only = {images.name, unread.name, logits.name, hidden.op.inputs[0].name}
    assert names - {hidden.name} <= read_shapes_only | {hidden.op.inputs[0].op.inputs[0].name}


def test_what_is_not_a_row_a_picture_is_computed_again_and_never_fed():
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, 6, 3])
        hidden = tf.square(images)
        places = tf.nn.top_k(hidden[..., 0], 2).indices  # a row a picture, but whole numbers
        picked = tf.gather(hidden, places, batch_dims=1)
        logits = tf.reduce_sum(picked**2, 1)
        scaled = logits * tf.cast(tf.shape(logits)[0], tf.float32)
        (gradient,) = slim_models.gradients(logits[:, 0], [images], "backprop")
        read = slim_models.read_by_backward(images, logits, [gradient])
        assert {images.name, hidden.name, picked.name} <= {tensor.name for tensor in read}
        assert {tensor.dtype for tensor in read} == {tf.float32}
        assert slim_models.read_by_backward(images, scaled, [gradient]) is None
        assert slim_models.read_by_backward(images, logits, [gradient], [hidden, tf.reduce_sum(hidden, 0)]) is None
        assert slim_models.read_by_backward(images, logits, [gradient], [hidden]) == read


class TestPrecision:
    @pytest.mark.filterwarnings("ignore:this processor has no quick units")
    def test_bfloat16_is_close(self, thin):
        full = thin.explainer.explain(thin.images, 3)
        with Explainer(thin.network, thin.weights, rules=slim_models.RULES, precision="bfloat16") as explainer:
            half = explainer.explain(thin.images, 3)
        for name, expected in full.arrays().items():
            got = half.arrays()[name]
            assert got.dtype == expected.dtype, name
            # Eight bits of mantissa, through up to 50 layers and their decisions.
            if name in ("logits", "activations", "gradients"):
                assert np.linalg.norm(got - expected) < 0.1 * np.linalg.norm(expected), name
        assert not np.array_equal(half.logits, full.logits)
        saliency = np.corrcoef(full.saliency["guided"].ravel(), half.saliency["guided"].ravel())[0, 1]
        assert saliency > 0.9

    @pytest.mark.filterwarnings("ignore:this processor has no quick units")
    def test_weights_rest_in_bfloat16(self, thin):
        """A cast of the weights in every run would cost more than the convolutions of one picture gain."""
        with Explainer(thin.network, thin.weights, precision="bfloat16") as explainer:
            network = explainer.network
            kernels = {name: v for name, v in network.variables().items() if name.endswith("weights")}
            found = executed(explainer.session, explainer._fetches.tensors, {network.images: thin.images})
        whole = {name for name, variable in kernels.items() if variable.dtype.base_dtype == tf.float32}
        assert whole == {"fc8/weights"} if thin.network.name == "vgg16" else {"resnet_v1_50/logits/weights"}
        convolutions = [node for kind, nodes in found.items() if "Conv2D" in kind for node in nodes]
        others = [node.name for node in convolutions if node.attr["T"].type != tf.bfloat16.as_datatype_enum]
        assert all("logits" in name for name in others)
        reads = {variable.op.name for variable in kernels.values()}
        assert not [node for node in found.get("Cast", []) if node.input[0].split("/ReadVariableOp")[0] in reads]

    def test_the_default_is_the_network_s_own_graph(self, thin):
        assert thin.explainer.network.logits is thin.network.logits
        assert thin.network.in_precision("float32") is thin.network
        with Explainer(thin.network, thin.weights, rules=(), precision="float32") as explainer:
            assert explainer.network.logits is thin.network.logits

    def test_the_network_is_the_same_but_for_its_precision(self, thin):
        half = thin.network.in_precision("bfloat16")
        assert half.precision == "bfloat16" and half.graph is not thin.network.graph
        assert half.images.dtype == half.logits.dtype == tf.float32
        assert half.weight_shapes() == thin.network.weight_shapes()
        assert {n: t.shape.as_list() for n, t in half.endpoints.items()} == {
            n: t.shape.as_list() for n, t in thin.network.endpoints.items()
        }
        assert half.in_precision("float32").logits.dtype == tf.float32

    def test_unknown(self, thin):
        with pytest.raises(ValueError, match=r"'float16'.*float32, bfloat16"):
            slim_models.build("vgg16", precision="float16")
        with pytest.raises(ValueError, match=r"'half'.*float32, bfloat16"):
            Explainer(thin.network, thin.weights, precision="half")

    def test_a_network_of_the_user_s_own_stays_as_it_is(self, thin):
        own = dataclasses.replace(thin.network, name="mine", rebuild=None)
        with pytest.raises(ValueError, match=r"mine was not made by slim_models.build and stays in float32"):
            Explainer(own, thin.weights, precision="bfloat16")

    @pytest.mark.parametrize(
        "flags, precision, device, warned",
        [
            ("flags : fpu avx2 avx512f", "bfloat16", None, True),
            ("flags : fpu avx512f avx512_bf16", "bfloat16", None, False),
            ("vendor_id : AuthenticAMD\nflags : fpu avx512_bf16", "bfloat16", None, False),
            ("vendor_id : GenuineIntel\nflags : fpu avx512_bf16 amx_bf16", "bfloat16", None, False),
            ("vendor_id : GenuineIntel\nflags : fpu avx512_bf16", "bfloat16", None, True),
            ("flags : fpu amx_bf16 amx_tile", "bfloat16", "cpu", False),
            ("Features : asimd bf16", "bfloat16", None, False),
            ("flags : fpu avx2", "float32", None, False),
            ("flags : fpu avx2", "bfloat16", "gpu:0", False),
            (None, "bfloat16", None, False),  # not Linux: nothing is known
        ],
    )
    def test_a_processor_that_is_slow_is_named(self, tmp_path, monkeypatch, recwarn, flags, precision, device, warned):
        path = tmp_path / "cpuinfo"
        if flags is not None:
            path.write_text(f"processor : 0\n{flags}\n\nprocessor : 1\n{flags}\n")
        monkeypatch.setattr(sessions, "_CPUINFO", path)
        sessions.warn_of_slow_bfloat16(precision, device)
        assert [str(warning.message) for warning in recwarn] == [
            "this processor has no quick units for bfloat16: it will be slower than float32"
        ] * warned


class TestMemoryOfWeights:
    def test_aligned(self):
        for size in (1, 63, 64, 1000, 2**24 + 5):  # the last is handed out to several threads
            memory = aligned_bytes(size)
            assert memory.ctypes.data % 64 == 0 and memory.size == size
            memory[:] = 7

    @pytest.mark.parametrize("rows", [10, 2**19])  # of memory of NumPy's, and of pages of its own
    def test_what_nobody_can_write_is_not_copied(self, rows):
        frozen = freeze(aligned_bytes(rows * 40).view(np.float32))
        assert lasting(frozen, np.float32) is frozen
        assert np.shares_memory(lasting(frozen.reshape(rows, 10)[2:4], np.float32), frozen)
        with pytest.raises(ValueError, match="read-only"):
            frozen[0] = 1

    def test_what_somebody_can_write_is_copied(self):
        array = np.arange(6, dtype=np.float32).reshape(2, 3)
        view = array[:]
        view.flags.writeable = False  # but its owner is not
        for given in (array, view, array.T):
            got = lasting(given, np.float32)
            np.testing.assert_array_equal(got, given)
            assert not np.shares_memory(got, array) and not got.flags.writeable
            assert got.ctypes.data % 64 == 0

    def test_other_types_are_converted(self):
        frozen = freeze(np.array([1.5, 2.5], np.float16))
        assert lasting(frozen, np.float32).dtype == np.float32

    def test_weights_are_told_apart_where_they_are(self):
        """No copy is made of them: fc6 of a VGG16 has 411 MB."""
        array = np.arange(2**20, dtype=np.float32).reshape(2**10, -1)
        tracemalloc.start()
        try:
            found = slim_models.fingerprint({"b": array, "a": np.float16(1.5)})
            assert tracemalloc.get_traced_memory()[1] < array.nbytes // 8
        finally:
            tracemalloc.stop()
        content = b"a () float16" + np.float16(1.5).tobytes() + b"b (1024, 1024) float32" + array.tobytes()
        assert found == hashlib.sha256(content).hexdigest()[:16]
        assert slim_models.fingerprint({"a": np.float16(1.5), "b": np.asfortranarray(array)}) == found
        assert slim_models.fingerprint({"a": np.float16(1.5), "b": array.T}) != found

    def test_changing_an_array_afterwards_does_not_change_the_network(self, thin):
        network = slim_models.build(thin.network.name, image_size=thin.images.shape[1], **THIN)
        weights = {}
        for name, array in random_weights(network).items():  # as aligned as TensorFlow likes them
            weights[name] = aligned_bytes(array.nbytes).view(np.float32).reshape(array.shape)
            weights[name][...] = array
        with Explainer(network, weights, rules=()) as explainer:
            before = explainer.predict(thin.images)
            for array in weights.values():
                array[...] = 0
            np.testing.assert_array_equal(explainer.predict(thin.images), before)

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    def test_an_npy_file_is_read_into_aligned_memory(self, tmp_path, protocol):
        import pickle

        expected = np.random.default_rng(0).standard_normal((200, 300)).astype(np.float32)
        layers = {"fc6": [expected, expected[0].copy()], "fc7": [np.asfortranarray(expected), expected[:, 0].copy()]}
        with (tmp_path / "a.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
            pickle.dump(np.array(layers, object), file, protocol=protocol)
        weights = slim_models.read_weights(tmp_path / "a.npy")
        for layer, (kernel, offset) in layers.items():
            np.testing.assert_array_equal(weights[f"{layer}/weights"], kernel)
            np.testing.assert_array_equal(weights[f"{layer}/biases"], offset)
            assert not weights[f"{layer}/weights"].flags.writeable
            if protocol > 2:  # under 2 bytes are text
                assert weights[f"{layer}/weights"].ctypes.data % 64 == 0
                assert lasting(weights[f"{layer}/weights"], np.float32) is weights[f"{layer}/weights"] or layer == "fc7"
