"""Weights of other programs: the numbers arrive unchanged, and networks that those programs run agree."""

import pickletools
import re

import h5py
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
import tf_slim as slim
from fake_caffe.caffe import Net
from formats import write_caffemodel, write_keras
from prototxt import caffe_layers, vgg as vgg_prototxt

import slim_models
from gradcam.cli.main import main
from gradcam.explainer import Explainer
from slim_models.weights import evaluated_weights, random_weights

SIZE, CLASSES, DIVISOR = 64, 10, 8
COUNTS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # convolutions of each block
KERAS_NAMES = {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}


@pytest.fixture(scope="module", params=COUNTS)
def network(request):
    return slim_models.build(request.param, image_size=SIZE, num_classes=CLASSES, width_divisor=DIVISOR)


@pytest.fixture(scope="module")
def weights(network):
    return random_weights(network)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def bgr(images):
    """What a VGG is fed in Caffe and in Keras."""
    return images[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)


def logits(network, weights, images):
    with Explainer(network, weights, layers=(), rules=()) as explainer:
        return explainer.explain(images).logits


def assert_same(read, expected):
    assert read.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(read[name], array)


def layers_of(weights):
    """{layer: (weights, biases)}."""
    names = dict.fromkeys(name.split("/")[0] for name in weights)
    return {name: (weights[f"{name}/weights"], weights[f"{name}/biases"]) for name in names}


def keras_name(name):
    return KERAS_NAMES.get(name) or f"block{name[4]}_conv{name[6]}"


class TestKeras:
    @pytest.mark.parametrize("whole_model", [False, True])
    def test_numbers_of_the_published_layout(self, weights, tmp_path, whole_model):
        content = {keras_name(name): arrays for name, arrays in layers_of(weights).items()}
        path = write_keras(tmp_path / "a.h5", content, whole_model)
        assert_same(slim_models.read_weights(path), weights)

    @pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # Keras' own
    @pytest.mark.parametrize("how", ["weights", "model"])
    def test_keras_itself_agrees(self, network, weights, images, bgr, tmp_path, how):
        """Keras' own layers, run by Keras, in a file that Keras wrote."""
        keras = tf.keras
        model = keras.Sequential([keras.layers.Input((SIZE, SIZE, 3))])
        for name, (kernel, _) in layers_of(weights).items():
            if kernel.ndim == 4:
                model.add(
                    keras.layers.Conv2D(kernel.shape[-1], 3, padding="same", activation="relu", name=keras_name(name))
                )
                if name in {f"conv{block}_{count}" for block, count in enumerate(COUNTS[network.name], start=1)}:
                    model.add(keras.layers.MaxPooling2D(2, name=f"block{name[4]}_pool"))
                continue
            if name == "fc6":
                model.add(keras.layers.Flatten(name="flatten"))
            activation = None if name == "fc8" else "relu"
            model.add(keras.layers.Dense(kernel.shape[-1], activation, name=keras_name(name)))
        for name, arrays in layers_of(weights).items():
            model.get_layer(keras_name(name)).set_weights(arrays)
        # Keras 2 writes its later layout, without the layers' names, where it sees .weights.h5.
        weights_name = "a.h5" if keras.__version__.startswith("2") else "a.weights.h5"
        path = str(tmp_path / (weights_name if how == "weights" else "a.h5"))
        if how == "weights":
            model.save_weights(path)
        else:
            model.save(path)
        theirs = model.predict(bgr, verbose=0)
        ours = logits(network, slim_models.read_weights(path), images)
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())

    def test_other_layers_are_named(self, tmp_path):
        path = write_keras(tmp_path / "a.h5", {"conv2d_7": (np.zeros((3, 3, 3, 8)), np.zeros(8))})
        with pytest.raises(ValueError, match=r"a\.h5 cannot be read .*'conv2d_7' is none of Keras' VGG16 and VGG19"):
            slim_models.read_weights(path)

    def test_an_hdf5_file_without_layers(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["x"] = np.zeros(3)
        with pytest.raises(ValueError, match="holds no layers with weights"):
            slim_models.read_weights(tmp_path / "a.h5")


class TestCaffe:
    @pytest.mark.parametrize("version", [1, 2])
    @pytest.mark.parametrize("legacy_shapes", [False, True])
    @pytest.mark.parametrize("double", [False, True])
    def test_numbers(self, weights, tmp_path, version, legacy_shapes, double):
        path = tmp_path / "a.caffemodel"
        write_caffemodel(path, caffe_layers(weights), version, legacy_shapes, double)
        assert_same(slim_models.read_weights(path), weights)

    def test_a_net_in_caffes_layout_agrees(self, network, weights, images, bgr, tmp_path):
        """Channels first, kernels [out, in, h, w], fc6 over channel-height-width: in NumPy, as Caffe does it."""
        (tmp_path / "deploy.prototxt").write_text(vgg_prototxt(SIZE, CLASSES, DIVISOR, counts=COUNTS[network.name]))
        path = write_caffemodel(tmp_path / "a.caffemodel", caffe_layers(weights))
        net = Net(tmp_path / "deploy.prototxt", path, 1)
        net.blobs["data"].reshape(*bgr.transpose(0, 3, 1, 2).shape)
        net.blobs["data"].data[...] = bgr.transpose(0, 3, 1, 2)
        net.forward()
        theirs = net.blobs["fc8"].data
        ours = logits(network, slim_models.read_weights(path), images)
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())

    def test_a_layer_of_another_type_is_named(self, tmp_path):
        path = write_caffemodel(tmp_path / "a.caffemodel", {"prelu1": ("PReLU", [np.ones(3)])})
        with pytest.raises(ValueError, match="layer 'prelu1' is neither .* but of type 'PReLU'"):
            slim_models.read_weights(path)

    def test_a_fully_connected_layer_that_sees_no_square_maps(self, tmp_path):
        layers = {
            "conv": ("Convolution", [np.zeros((4, 3, 3, 3))]),
            "fc": ("InnerProduct", [np.zeros((2, 24)), np.zeros(2)]),
        }
        path = write_caffemodel(tmp_path / "a.caffemodel", layers)
        with pytest.raises(ValueError, match="layer 'fc' takes 24 numbers, which are no square maps of 4 channels"):
            slim_models.read_weights(path)

    @pytest.mark.parametrize("version", [1, 2])
    def test_a_fully_connected_layer_reads_the_maps_that_it_reads(self, tmp_path, version):
        """Branches of 2 and 3 channels, of which the file names a deeper one last, joined into maps of 5, 2 x 2."""
        kernel = np.random.default_rng(0).normal(size=(7, 20)).astype(np.float32)
        layers = {
            "a": ("Convolution", [np.zeros((2, 3, 1, 1))]),
            "b": ("Convolution", [np.zeros((3, 3, 1, 1))], ["data"]),
            "joined": ("Concat", [], ["a", "b"]),
            "aside": ("Convolution", [np.zeros((20, 3, 1, 1))], ["data"]),
            "fc": ("InnerProduct", [kernel, np.zeros(7)], ["joined"]),
            "beside": ("InnerProduct", [kernel], ["aside"]),
            "on": ("InnerProduct", [np.ones((2, 7))], ["fc"]),
        }
        read = slim_models.read_weights(write_caffemodel(tmp_path / "a.caffemodel", layers, version))
        # Caffe's [out, channel, y, x] -> [y, x, channel, out]
        np.testing.assert_array_equal(
            read["fc/weights"], kernel.reshape(7, 5, 2, 2).transpose(2, 3, 1, 0).reshape(20, 7)
        )
        np.testing.assert_array_equal(read["beside/weights"], kernel.T)
        assert read["on/weights"].shape == (7, 2)

    @pytest.mark.parametrize(
        ("layers", "message"),
        [
            (
                {"cut": ("Slice", [], ["conv"]), "fc": ("InnerProduct", [np.zeros((2, 16))])},
                "'cut' of type 'Slice' makes",
            ),
            ({"fc": ("InnerProduct", [np.zeros((2, 16))], ["data"])}, "reads 'data', which no layer makes"),
            (
                {
                    "flat": ("Flatten", [], ["conv"]),
                    "two": ("Concat", [], ["flat", "flat"]),
                    "fc": ("InnerProduct", [np.zeros((2, 16))]),
                },
                "'two' of type 'Concat' makes",
            ),
        ],
    )
    def test_what_cannot_be_followed_is_refused(self, tmp_path, layers, message):
        layers = {"conv": ("Convolution", [np.zeros((4, 3, 1, 1))]), **layers}
        path = write_caffemodel(tmp_path / "a.caffemodel", layers)
        with pytest.raises(ValueError, match=f"{message}.*cannot be followed"):
            slim_models.read_weights(path)

    def test_a_fine_tuned_vggs_last_layer_is_told_by_its_place(self, network, weights, tmp_path, capsys):
        layers = caffe_layers(weights)
        layers["fc8_flickr"] = layers.pop("fc8")
        path = write_caffemodel(tmp_path / "a.caffemodel", layers)
        said = []
        assert_same(evaluated_weights(path, say=said.append), weights)
        assert said == ["weights: fc8_flickr is fc8, as the last fully connected layer of a VGG"]
        layers["fc9"] = ("InnerProduct", [np.zeros((2, CLASSES))])
        path = write_caffemodel(tmp_path / "a.caffemodel", layers)
        assert "fc8_flickr/weights" in slim_models.read_weights(path)


def slim_vgg(inputs, scope, counts):
    """The body of tf_slim's nets.vgg.vgg_16 and vgg_19, whose widths cannot be changed; from RGB less the mean."""
    net = inputs
    with tf.variable_scope(scope):
        for block, (depth, count) in enumerate(zip((64, 128, 256, 512, 512), counts), start=1):
            net = slim.repeat(net, count, slim.conv2d, depth // DIVISOR, [3, 3], scope=f"conv{block}")
            net = slim.max_pool2d(net, [2, 2], scope=f"pool{block}")
        net = slim.conv2d(net, 4096 // DIVISOR, net.shape[1:3].as_list(), padding="VALID", scope="fc6")
        net = slim.conv2d(net, 4096 // DIVISOR, [1, 1], scope="fc7")
        net = slim.conv2d(net, CLASSES, [1, 1], activation_fn=None, normalizer_fn=None, scope="fc8")
        return tf.squeeze(net, [1, 2])


class TestSlim:
    @pytest.mark.parametrize("version", [tf.train.SaverDef.V1, tf.train.SaverDef.V2], ids=["V1", "V2"])
    def test_slims_own_network_agrees(self, network, images, tmp_path, version):
        rgb = images - np.array([123.68, 116.779, 103.939], np.float32)
        scope = network.name.replace("vgg", "vgg_")
        with tf.Graph().as_default() as graph, tf.Session() as session:
            tf.set_random_seed(0)
            output = slim_vgg(tf.constant(rgb), scope, COUNTS[network.name])
            tf.get_variable(f"{scope}/mean_rgb", [3])
            tf.train.get_or_create_global_step(graph)
            session.run(tf.global_variables_initializer())
            theirs = session.run(output)
            path = tf.train.Saver(write_version=version).save(session, str(tmp_path / f"{scope}.ckpt"))
        slim_models.convert(path, tmp_path / "a.npy")
        ours = logits(network, slim_models.read_weights(tmp_path / "a.npy"), images)
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


class TestWriting:
    @pytest.mark.parametrize("suffix", [".npy", ".npz", ".ckpt"])
    def test_round_trip(self, thin, tmp_path, suffix):
        slim_models.write_weights(tmp_path / f"a{suffix}", thin.weights)
        assert_same(slim_models.read_weights(tmp_path / f"a{suffix}"), thin.weights)
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

    def test_through_every_format_in_turn(self, weights, tmp_path):
        path = write_caffemodel(tmp_path / "a.caffemodel", caffe_layers(weights))
        for name in ("b.npy", "c.ckpt", "d.npz", "e.npy"):
            slim_models.convert(path, tmp_path / name)
            path = tmp_path / name
        assert_same(slim_models.read_weights(path), weights)

    def test_npy_is_what_others_read_too(self, weights, tmp_path):
        slim_models.write_weights(tmp_path / "a.npy", weights)
        layers = np.load(tmp_path / "a.npy", allow_pickle=True).item()
        assert list(layers) == list(layers_of(weights))
        for name, (kernel, biases) in layers_of(weights).items():
            np.testing.assert_array_equal(layers[name][0], kernel)
            np.testing.assert_array_equal(layers[name][1], biases)

    def test_npy_names_nothing_that_older_programs_lack(self, weights, tmp_path):
        """Python 3.0's protocol, and NumPy's functions under the names that they had before NumPy 2."""
        odd = {"a/half": np.ones((2, 3), np.float16), "a/bytes": np.arange(3, dtype=np.uint8), "b/one": np.array(7.5)}
        slim_models.write_weights(tmp_path / "a.npy", {**weights, **odd})
        with (tmp_path / "a.npy").open("rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            opcodes = list(pickletools.genops(file))
        assert max(opcode.proto for opcode, _, _ in opcodes) <= 3
        assert {argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"} == {
            "numpy.core.multiarray _reconstruct",
            "numpy ndarray",
            "numpy dtype",
        }
        layers = np.load(tmp_path / "a.npy", allow_pickle=True).item()
        assert layers["a"]["half"].dtype == np.float16
        assert layers["a"]["bytes"].tolist() == [0, 1, 2]
        assert layers["b"]["one"].shape == ()
        assert_same(slim_models.read_weights(tmp_path / "a.npy"), {**weights, **odd})

    def test_a_checkpoint_is_what_tensorflow_restores(self, thin, tmp_path):
        slim_models.write_weights(tmp_path / "a.ckpt", {**thin.weights, "global_step": np.array(7, np.int64)})
        with thin.network.graph.as_default(), tf.Session() as session:
            tf.train.Saver(list(thin.network.variables().values())).restore(session, str(tmp_path / "a.ckpt"))
            assert_same(session.run(thin.network.variables()), thin.weights)
        assert slim_models.read_weights(tmp_path / "a.ckpt")["global_step"] == 7

    def test_an_interrupted_checkpoint_leaves_the_one_before(self, weights, tmp_path):
        slim_models.write_weights(tmp_path / "a.ckpt", weights)

        class Interrupting:
            def __array__(self, *_, **__):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            slim_models.write_weights(tmp_path / "a.ckpt", {**weights, "fc8/biases": Interrupting()})
        assert_same(slim_models.read_weights(tmp_path / "a.ckpt"), weights)
        assert len(list(tmp_path.iterdir())) == 2

    def test_a_name_without_a_layer_is_no_npy(self, tmp_path):
        with pytest.raises(ValueError, match="'global_step' is of no layer.*write .ckpt or .npz"):
            slim_models.write_weights(tmp_path / "a.npy", {"global_step": np.zeros(1)})

    def test_the_command(self, weights, tmp_path, capsys):
        slim_models.write_weights(tmp_path / "a.npz", weights)
        assert main(["convert", str(tmp_path / "a.npz"), str(tmp_path / "new" / "b.npy")]) == 0
        numbers = sum(array.size for array in weights.values())
        assert f"{len(weights)} arrays, {numbers:,} numbers" in capsys.readouterr().out
        assert_same(slim_models.read_weights(tmp_path / "new" / "b.npy"), weights)

    @pytest.mark.parametrize(
        ("source", "destination", "message"),
        [
            ("a.npz", "b.h5", "weights cannot be written as .*the suffix can be .npy, .npz, .ckpt"),
            ("none.npy", "b.ckpt", "no weights at .*none.npy"),
            (
                "a.caffemodel.h5",
                "b.npy",
                "it is Caffe's HDF5, which is not read here; save the net's weights as .caffemo",
            ),
            ("html.caffemodel", "b.npy", "is not a caffemodel; it is an HTML page"),
        ],
    )
    def test_mistakes_are_one_line(self, weights, tmp_path, capsys, source, destination, message):
        slim_models.write_weights(tmp_path / "a.npz", weights)
        (tmp_path / "html.caffemodel").write_text("<!DOCTYPE html><html>")
        (tmp_path / "a.caffemodel.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
        before = sorted(tmp_path.iterdir())
        assert main(["convert", str(tmp_path / source), str(tmp_path / destination)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert re.search(message, error)
        assert sorted(tmp_path.iterdir()) == before
