"""What a training leaves beside weights, and scopes in front of them: read for networks of ours, and said."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from thin import SIZES, THIN

import slim_models
from gradcam.cli.main import main
from gradcam.explainer import Explainer
from slim_models.mistakes import BadValue
from slim_models.weights import check_weights, evaluated, fitted, random_weights

OPTIMIZERS = {
    "momentum": lambda: tf.train.MomentumOptimizer(0.1, 0.9),
    "rmsprop": lambda: tf.train.RMSPropOptimizer(0.1, momentum=0.9),
    "adam": lambda: tf.train.AdamOptimizer(0.1),
    "adagrad": lambda: tf.train.AdagradOptimizer(0.1),
    "ftrl": lambda: tf.train.FtrlOptimizer(0.1),
    "adadelta": lambda: tf.train.AdadeltaOptimizer(0.1),
}


def logits_of(network, images, weights=None):
    with Explainer(network, weights, rules=()) as explainer:
        return explainer.predict(images)


def assert_has(network, weights):
    """What an opened network takes is exactly these."""
    found = network.values.arrays()
    assert found.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)


def opened(name, weights, lines=None, **options):
    say = None if lines is None else lines.append
    return slim_models.open_network(name, weights, image_size=SIZES[name], say=say, **options)


def save(path, arrays, version=tf.train.SaverDef.V2):
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.Variable(array, name=name) for name, array in arrays.items()]
        session.run(tf.global_variables_initializer())
        return tf.train.Saver(variables, write_version=version).save(session, str(path), write_meta_graph=False)


def trained(path, weights, optimizer, scope="", averaged=None):
    """Steps of an optimiser over variables with these names; their values in the end, and those of their averages."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        variables = {
            name: tf.Variable(array, name=name, trainable="moving" not in name) for name, array in weights.items()
        }
        steps = tf.train.get_or_create_global_step(graph)
        loss = tf.add_n([tf.reduce_sum(tf.square(variable)) for variable in tf.trainable_variables()])
        with tf.variable_scope(scope or tf.get_variable_scope()):
            update = OPTIMIZERS[optimizer]().minimize(loss, steps)
            averages = tf.train.ExponentialMovingAverage(0.5)
            shadowed = [variables[name] for name in averaged or ()]
            with tf.control_dependencies([update]):
                updates = [averages.apply(shadowed)] if shadowed else [update]
        session.run(tf.global_variables_initializer())
        for _ in range(2):
            session.run(updates)
        prefix = tf.train.Saver().save(session, str(path), write_meta_graph=False)
        shadows = {name: averages.average(variables[name]) for name in averaged or ()}
        return prefix, session.run(variables), session.run(shadows)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("scope", ["", "train/optimizer"])
def test_slots_of_any_optimizer_are_left_out(optimizer, scope, tmp_path):
    weights = random_weights(slim_models.build("vgg16", image_size=SIZES["vgg16"], **THIN))
    path, values, _ = trained(tmp_path / "model.ckpt", weights, optimizer, scope)
    lines = []
    network = opened("vgg16", path, lines)
    (line,) = lines
    assert line.startswith("weights: left out is what a training keeps beside them (") and "global_step" in line
    assert_has(network, values)


def test_a_checkpoint_of_a_training_is_what_the_training_has(thin, tmp_path):
    path, values, _ = trained(tmp_path / "model.ckpt", thin.weights, "momentum")
    found = logits_of(opened(thin.network.name, path), thin.images)
    np.testing.assert_array_equal(found, logits_of(thin.network, thin.images, values))
    np.testing.assert_array_equal(found, logits_of(thin.network, thin.images, path))


def test_moving_averages_of_all_that_was_trained(thin, tmp_path):
    names = [name for name in thin.weights if "moving" not in name]
    path, own, shadows = trained(tmp_path / "model.ckpt", thin.weights, "adam", averaged=names)
    assert any((own[name] != shadows[name]).any() for name in names)
    averages = {**own, **shadows}
    expected = {None: averages, True: averages, False: own}
    for choice, weights in expected.items():
        lines = []
        assert_has(opened(thin.network.name, path, lines, averages=choice), weights)
        word = "the variables, not the moving" if choice is False else f"{len(names)} moving averages in place of the"
        assert word in lines[0]
    found = logits_of(thin.network, thin.images, path)
    np.testing.assert_array_equal(found, logits_of(thin.network, thin.images, averages))
    for flags, weights in (([], averages), (["--no-averages"], own)):
        assert main(["convert", path, str(tmp_path / "a.npz"), *flags]) == 0
        np.testing.assert_equal(slim_models.read_weights(tmp_path / "a.npz"), weights)


def test_averages_of_some_only_are_taken_when_asked_for(thin, tmp_path):
    some = [name for name in thin.weights if "moving" not in name][:3]
    path, own, shadows = trained(tmp_path / "model.ckpt", thin.weights, "momentum", averaged=some)
    lines = []
    left = opened(thin.network.name, path, lines)
    assert "the variables, not the moving averages that 3 of them have (--averages)" in lines[0]
    taken = opened(thin.network.name, path, averages=True)
    assert_has(left, own)
    assert_has(taken, {**own, **shadows})


def test_averages_alone(thin, tmp_path):
    """As a Saver of `variables_to_restore` writes them: those that were trained under the averages' names alone."""
    suffix = {name: "" if "moving" in name else "/ExponentialMovingAverage" for name in thin.weights}
    path = save(tmp_path / "model.ckpt", {name + suffix[name]: array for name, array in thin.weights.items()})
    assert_has(opened(thin.network.name, path), thin.weights)
    with pytest.raises(BadValue, match="there is nothing but the moving average .* of"):
        opened(thin.network.name, path, averages=False)


def test_averages_that_are_not_there(thin):
    with pytest.raises(BadValue, match="there are no moving averages"):
        opened(thin.network.name, thin.weights, averages=True)


@pytest.mark.parametrize("suffix", ["", ":0"])
@pytest.mark.parametrize("scope", ["tower_0/", "module/", "model/net/", "-", "my_resnet/"])
def test_scopes_in_front(scope, suffix, thin, tmp_path):
    own = "resnet_v1_50/" if "resnet" in thin.network.name else ""
    front = {"-": "", "my_resnet/": "my_resnet/"}.get(scope, f"{scope}{own}")

    def name_of(name):
        return f"{front}{name.removeprefix(own)}{suffix}"

    arrays = {name_of(name): array for name, array in thin.weights.items()}
    beside = {f"{name_of(name).removesuffix(':0')}/Momentum{suffix}": array for name, array in thin.weights.items()}
    arrays |= {**beside, "global_step": np.array(7), "beta1_power": np.array(0.9, np.float32)}
    if front:
        arrays["discriminator/kernel"] = np.zeros((2, 2), np.float32)
    np.savez(tmp_path / "a.npz", **arrays)
    lines = []
    network = opened(thin.network.name, tmp_path / "a.npz", lines)
    assert_has(network, thin.weights)
    if suffix and scope == "model/net/":
        expected = logits_of(thin.network, thin.images, thin.weights)
        np.testing.assert_array_equal(logits_of(network, thin.images), expected)
        np.testing.assert_array_equal(logits_of(thin.network, thin.images, arrays), expected)
    if front != own:
        under = f"under {front.removesuffix(own)}; 1 others" if front else f"that are not under {own}"
        assert f"weights: those {under}" in lines[-1]


def test_towers_that_are_alike_and_that_are_not(thin):
    towers = {f"tower_{i}/{name}": array for i in range(2) for name, array in thin.weights.items()}
    assert_has(opened(thin.network.name, towers), thin.weights)
    last = list(towers)[-1]
    with pytest.raises(BadValue, match=r"such weights are under tower_0/.* and under tower_1/.*, and differ"):
        opened(thin.network.name, {**towers, last: towers[last] + 1})


def test_wrong_ones_are_still_told(thin, tmp_path):
    names = list(thin.weights)
    wrong = {f"model/{name}": array for name, array in thin.weights.items() if name != names[4]}
    wrong |= {f"model/{names[0].partition('/')[0]}/other/weights": np.zeros((2, 2)), f"model/{names[0]}/Adam": 1}
    with pytest.raises(BadValue, match=rf"1 missing \({names[4]}\); 1 unexpected \(\S*other/weights\)"):
        check_weights(thin.network, wrong)
    with pytest.raises(BadValue, match=r"they are another network's \(a\)"):
        check_weights(thin.network, {"a/b": np.zeros((3, 3))})


def test_another_network_is_not_taken_for_a_scope(thin):
    """A ResNet-101's names are a ResNet-50's behind another scope."""
    own, other = "resnet_v1_50", "resnet_v1_101"
    if thin.network.name != own:
        pytest.skip("of ResNets")
    given = {f"{other}{name.removeprefix(own)}": array for name, array in thin.weights.items()}
    message = rf"they are another network's \({other}\)"
    with pytest.raises(BadValue, match=message):
        check_weights(thin.network, given)
    network = opened(own, given)  # a unit's conv1 is not taken for the first
    with pytest.raises(BadValue, match=message):
        check_weights(network, given)


def test_a_scalar_that_a_network_takes_is_a_weight():
    weights = {"alpha": np.array(0.5), "net/global_step": np.array(3), "a/w": np.ones((2, 2)), "a/w/b": np.ones(2)}
    assert set(fitted(weights, ["alpha", "a/w", "a/w/b"])) == {"alpha", "a/w", "a/w/b"}
    assert set(evaluated({name: array.shape for name, array in weights.items()})) == {"alpha", "a/w"}


class TestFlatVgg:
    """`vgg16_weights.npz`: `conv1_1_W`, `conv1_1_b`, ..., whose program gives it RGB."""

    @pytest.fixture
    def network(self):
        return slim_models.build("vgg16", image_size=SIZES["vgg16"], **THIN)

    @pytest.fixture
    def weights(self, network):
        return random_weights(network)

    @staticmethod
    def write(path, weights):
        kinds = {"weights": "W", "biases": "b"}
        pairs = ((name.split("/"), array) for name, array in weights.items())
        np.savez(path, **{f"{layer}_{kinds[kind]}": array for (layer, kind), array in pairs})
        return path

    @staticmethod
    def program(images, weights):
        """The program that goes with the file: RGB less its mean, convolutions of 3 x 3, three dense layers."""
        with tf.Graph().as_default(), tf.Session() as session:
            net = tf.constant(images) - [123.68, 116.779, 103.939]
            for block, count in enumerate((2, 2, 3, 3, 3), 1):
                for layer in (f"conv{block}_{i}" for i in range(1, count + 1)):
                    net = tf.nn.conv2d(net, weights[f"{layer}_W"], 1, "SAME")
                    net = tf.nn.relu(tf.nn.bias_add(net, weights[f"{layer}_b"]))
                net = tf.nn.max_pool2d(net, 2, 2, "SAME")
            net = tf.reshape(net, [len(images), -1])
            for layer in ("fc6", "fc7"):
                net = tf.nn.relu(net @ weights[f"{layer}_W"] + weights[f"{layer}_b"])
            return session.run(net @ weights["fc8_W"] + weights["fc8_b"])

    def test_its_own_program_agrees(self, weights, tmp_path):
        images = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)).astype(np.float32)
        path = self.write(tmp_path / "vgg16_weights.npz", weights)
        with np.load(path) as arrays:
            expected = self.program(images, arrays)
        lines = []
        network = opened("vgg16", path, lines)
        np.testing.assert_allclose(logits_of(network, images), expected, rtol=1e-4, atol=1e-4)
        assert lines == ["weights: conv1_1_W takes RGB, as in its author's program, and is reversed for ours"]
        slim_models.convert(path, tmp_path / "a.npy")
        np.testing.assert_allclose(logits_of(network, images, tmp_path / "a.npy"), expected, rtol=1e-4, atol=1e-4)

    def test_numbers_that_are_caffes_own_take_bgr(self, weights, tmp_path):
        weights["conv1_1/weights"][0, 0, :, 0] = (0.42947057, 0.55037946, 0.4800154)
        lines = []
        opened("vgg16", self.write(tmp_path / "a.npz", weights), lines)
        assert lines == ["weights: conv1_1_W takes BGR (found: it is Caffe's)"]
        np.testing.assert_equal(slim_models.read_weights(tmp_path / "a.npz"), weights)
        weights["conv1_1/weights"] = weights["conv1_1/weights"][:, :, ::-1].copy()
        read = slim_models.read_weights(self.write(tmp_path / "b.npz", weights))
        np.testing.assert_allclose(read["conv1_1/weights"][0, 0, :, 0], (0.42947057, 0.55037946, 0.4800154))


@pytest.mark.parametrize("scope", ["vgg_16/", "model/vgg_16/", "tower_0/vgg_16/", "", "net/"])
def test_slims_vgg_under_scopes_and_with_slots(scope, tmp_path):
    network = slim_models.build("vgg16", image_size=SIZES["vgg16"], **THIN)
    weights = random_weights(network)
    arrays = {"global_step": np.array(7)}
    for name, array in weights.items():
        layer, kind = name.split("/")
        if kind == "weights" and layer.startswith("fc"):  # fc6 sees a pool5 of 2 x 2 x 64
            array = array.reshape(*((2, 2) if layer == "fc6" else (1, 1)), -1, array.shape[-1])
        array = array[:, :, ::-1] if name == "conv1_1/weights" else array
        arrays[f"{scope}{f'conv{layer[4]}/' if layer.startswith('conv') else ''}{layer}/{kind}"] = array
    slots = {f"{name}/Momentum": array for name, array in arrays.items() if array.ndim}
    path = save(tmp_path / "model.ckpt", {**arrays, **slots})
    images = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)).astype(np.float32)
    expected = logits_of(network, images, weights)
    np.testing.assert_array_equal(logits_of(opened("vgg16", path), images), expected)
