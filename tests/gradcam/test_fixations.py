"""CNN-Fixations: every rule by hand, a VGG16 and a ResNet a second time in loops, and graphs that cannot be traced."""

import dataclasses

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from thin import THIN

import slim_models
from gradcam import fixations, more_runs
from gradcam.explainer import Explainer
from gradcam.fixations import Step, Window
from gradcam.tracing import steps_of

MAP = np.array([[[1.0, 5], [2, -1]], [[3, 0], [4, 2]]])  # [2, 2, 2]


class TestRules:
    def test_a_dense_unit_leads_to_all_that_add_to_it(self):
        values, kernel = np.array([1.0, 0, 2, -3]), np.array([[1.0, 1], [5, 0], [-1, 2], [-1, 0]])
        assert fixations.dense(values, kernel, ((0,), 1)) == [((0,), 1), ((3,), -1)]  # 1, 0, -2, 3
        assert fixations.dense(values, kernel, ((0,), -1)) == [((2,), 1)]  # what makes it low

    def test_over_a_map_to_the_one_that_adds_most(self):
        kernel = np.zeros((2, 2, 2, 3))
        kernel[0, 0, 1, 2], kernel[1, 0, 0, 2], kernel[1, 1, 1, 2] = 1, 2, -9  # 5, 6, -18
        assert fixations.dense(MAP, kernel, ((2,), 1)) == [((1, 0, 0), 1)]
        assert fixations.dense(MAP, kernel, ((2,), -1)) == [((1, 1, 1), 1)]
        assert fixations.dense(MAP, kernel, ((0,), 1)) == []  # nothing adds to it

    def test_a_convolution_leads_to_its_strongest_channel_at_the_centre(self):
        window = Window((3, 3), (1, 1), (1, 1))
        kernel = np.ones((3, 3, 2, 2))
        kernel[..., 1, 1] = 3
        # Of the whole map, each output sees all of it: sums of the channels are 10 and 6.
        assert fixations.convolution(MAP, kernel, window, ((0, 1, 0), 1)) == [((0, 1, 0), 1)]
        assert fixations.convolution(MAP, kernel, window, ((0, 1, 1), 1)) == [((0, 1, 1), -1)]  # MAP[0, 1, 1] is -1
        assert fixations.convolution(MAP, kernel, window, ((0, 1, 0), -1)) == [((0, 1, 1), -1)]

    def test_or_at_the_channels_peak(self):
        window = Window((3, 3), (1, 1), (1, 1))
        kernel = np.ones((3, 3, 2, 1))
        assert fixations.convolution(MAP, kernel, window, ((0, 1, 0), 1), True) == [((1, 1, 0), 1)]
        kernel = np.ones((3, 3, 2, 1))
        assert fixations.depthwise(MAP, kernel, window, ((1, 1, 1), 1), True) == [((0, 0, 1), 1)]

    def test_where_windows_lie(self):
        window = Window((3, 2), (2, 1), (1, 0), (1, 2))
        rows, columns = window.places((1, 4))
        assert (rows.tolist(), columns.tolist()) == ([1, 2, 3], [4, 6])
        assert window.centre((1, 4), (3, 9)) == (2, 4)
        assert window.centre((9, 9), (3, 9)) == (2, 8)  # within the map

    def test_a_depthwise_unit_stays_in_its_channel(self):
        found = fixations.depthwise(MAP, np.ones((1, 1, 2, 2)), Window((1, 1), (1, 1), (0, 0)), ((1, 0, 3), 1))
        assert found == [((1, 0, 1), 1)]

    def test_pooling_leads_to_the_greatest(self):
        window = Window((2, 2), (2, 2), (0, 0))
        assert fixations.pooling(MAP, window, ((0, 0, 0), 1)) == [((1, 1, 0), 1)]
        assert fixations.pooling(MAP, window, ((0, 0, 1), 1)) == [((0, 0, 1), 1)]
        assert fixations.pooling(MAP, window, ((0, 0, 1), -1)) == [((0, 1, 1), -1)]
        assert fixations.pooling(MAP, Window((3, 3), (1, 1), (1, 1)), ((0, 0, 0), 1)) == [((1, 1, 0), 1)]

    def test_a_sum_leads_to_the_greater_summand(self):
        assert fixations.greatest([MAP, MAP[::-1]], ((0, 0, 0), 1)) == (1, ((0, 0, 0), 1))
        assert fixations.greatest([MAP, MAP[::-1]], ((0, 0, 0), -1)) == (0, ((0, 0, 0), 1))

    def test_two_ways_meet_once(self):
        steps = [
            Step("out", ("a", "b"), lambda point: [(0, point), (1, point)]),
            Step("b", ("images",), lambda point: [(0, point)]),
            Step("a", ("images",), lambda point: [(0, ((0, 1, 0), 1)), (0, point)]),
        ]
        assert fixations.traced(steps, "out", [((2, 3, 1), 1)], "images") == [(0, 1), (2, 3)]
        assert fixations.traced(steps, "out", [], "images") == []

    def test_outliers_and_density(self):
        points = np.array([[10, 10]] * 30 + [[11, 12]] * 9 + [[90, 90]])
        kept = fixations.without_outliers(points, (100, 100))
        np.testing.assert_array_equal(np.unique(kept, axis=0), [[10, 10], [11, 12]])
        assert len(fixations.without_outliers(points[:0], (100, 100))) == 0
        found = fixations.density(np.array([[20, 30], [20, 30], [70, 50]]), (100, 90), sigma=0.05)
        rows, columns = np.mgrid[:100, :90]

        def bump(row, column):
            return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 5**2)) / (2 * np.pi * 5**2)

        expected = 2 * bump(20, 30) + bump(70, 50)
        np.testing.assert_allclose(found, expected, atol=2e-3 * expected.max())
        assert not fixations.density(points[:0], (10, 10)).any()


def arrays_of(network, session, image, names):
    """The values of operations for one picture."""
    tensors = {name: network.graph.get_tensor_by_name(f"{name}:0") for name in names}
    return {name: array[0] for name, array in session.run(tensors, {network.images: image}).items()}


def vgg_in_loops(network, session, weights, image, unit):
    """VGG16 backwards a second time: by the layers' names, from the fixed list of its layers, in loops."""
    blocks = [(1, 2), (2, 2), (3, 3), (4, 3), (5, 3)]
    relus = [f"conv{block}_{i}" for block, count in blocks for i in range(1, count + 1)] + ["fc6", "fc7"]
    values = arrays_of(network, session, image, [f"{name}/Relu" for name in relus])
    values = {name.split("/")[0]: array for name, array in values.items()}
    inputs = arrays_of(network, session, image, ["ReverseV2"])["ReverseV2"]
    points = {unit}
    for below, layer in (("fc7", "fc8"), ("fc6", "fc7")):
        kernel = np.reshape(weights[f"{layer}/weights"], (len(values[below].ravel()), -1))
        points = {int(i) for u in points for i in np.flatnonzero(values[below].ravel() * kernel[:, u] > 0)}
    last = values["conv5_3"]
    h, w, c = last.shape
    pooled = np.pad(last, ((0, h % 2), (0, w % 2), (0, 0))).reshape(-(-h // 2), 2, -(-w // 2), 2, c).max(axis=(1, 3))
    kernel = np.reshape(weights["fc6/weights"], (pooled.size, -1))
    places = {int((pooled.ravel() * kernel[:, u]).argmax()) for u in points}
    points = {tuple(map(int, np.unravel_index(place, pooled.shape))) for place in places}
    for block, count in reversed(blocks):
        before = values[f"conv{block}_{count}"]
        moved = set()
        for row, column, channel in points:
            patch = before[2 * row : 2 * row + 2, 2 * column : 2 * column + 2, channel]
            i, j = np.unravel_index(int(patch.argmax()), patch.shape)
            moved.add((2 * row + int(i), 2 * column + int(j), channel))
        points = moved
        for number in range(count, 0, -1):
            if number > 1:
                below = values[f"conv{block}_{number - 1}"]
            elif block > 1:
                up = values[f"conv{block - 1}_{blocks[block - 2][1]}"]
                h, w, c = up.shape
                filled = np.pad(up, ((0, h % 2), (0, w % 2), (0, 0)))
                below = filled.reshape(-(-h // 2), 2, -(-w // 2), 2, c).max(axis=(1, 3))
            else:
                below = inputs
            kernel = weights[f"conv{block}_{number}/weights"]
            framed = np.pad(below, ((1, 1), (1, 1), (0, 0)))
            seen = {(row, column, k): framed[row : row + 3, column : column + 3] for row, column, k in points}
            points = {(*at[:2], int((seen[at] * kernel[..., at[2]]).sum(axis=(0, 1)).argmax())) for at in points}
    return sorted({(row, column) for row, column, _ in points})


class TestOnNetworks:
    def test_vgg16_in_loops(self):
        network = slim_models.build("vgg16", image_size=48, **THIN)
        weights = slim_models.random_weights(network)
        images = np.random.default_rng(0).uniform(0, 255, (2, 48, 48, 3)).astype(np.float32)
        with Explainer(network, weights, rules=()) as explainer:
            explanation = explainer.explain(images, [4, 7])
            arrays = {name: np.asarray(array) for name, array in weights.items()}
            for number, unit in enumerate((4, 7)):
                one = explanation[number]
                found = one.runs.fixations(one.images, one.ways[0])
                expected = vgg_in_loops(network, explainer.session, arrays, one.images, unit)
                assert found == expected and len(found) > 1
            maps = more_runs.cnn_fixations(explanation)
            expected = fixations.density(fixations.without_outliers(np.array(expected), (48, 48)), (48, 48))
            np.testing.assert_allclose(maps[1], expected, atol=1e-6)

    @pytest.mark.parametrize("name", ["resnet_v1_50", "efficientnet_lite0", "mobilenet_v1"])
    def test_networks_with_sums_and_batch_norm(self, name):
        """All their operations are known, and whatever is traced, a class or its opposite, lies in the picture."""
        network = slim_models.build(name, image_size=64, **THIN)
        images = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
        with Explainer(network, slim_models.random_weights(network), rules=()) as explainer:
            one, other = explainer.explain(images, 1), explainer.explain(images, 2)
            points = [set(e.runs.fixations(e.images, e.ways[0])) for e in (one, other)]
            opposite = set(one.runs.fixations(images, -one.ways[0]))
        for found in (*points, opposite):
            assert found and all(0 <= row < 64 and 0 <= column < 64 for row, column in found)

    def test_a_known_cause(self):
        """A convolution, a sum with a shortcut, a channel turned round by a negative scale: the bright dot is found."""
        with tf.Graph().as_default():
            images = tf.placeholder(tf.float32, [None, 8, 8, 3])
            kernel = np.zeros((3, 3, 3, 2), np.float32)
            kernel[1, 1, 0, 0], kernel[1, 1, 1, 1] = 1, -1
            net = tf.nn.conv2d(tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]]), kernel, 1, "VALID")
            net = tf.nn.relu(net * np.float32([1, -1]))
            net = tf.concat([net + 0.1 * net, 0 * net], axis=-1)
            logits = tf.matmul(tf.reduce_mean(net, [1, 2]), np.float32(np.eye(4, 2)))
            base = slim_models.build("vgg16", image_size=32, **THIN)
            network = dataclasses.replace(base, images=images, logits=logits, endpoints={"net": net})
            image = np.zeros((1, 8, 8, 3), np.float32)
            image[0, 2, 5, 0] = image[0, 6, 1, 1] = 9
            with tf.Session() as session:
                for unit, place in ((0, (2, 5)), (1, (6, 1))):
                    steps = steps_of(network, session, image)
                    found = fixations.traced(steps, logits.name, [((unit,), 1)], images.name)
                    assert found == [place]
                softly = dataclasses.replace(network, logits=logits * tf.reduce_sum(tf.nn.softplus(images)))
                with pytest.raises(ValueError, match=r"has (Softplus|Sum) \("):
                    list(steps_of(softly, session, image))
                squared = dataclasses.replace(network, logits=logits * logits)
                with pytest.raises(ValueError, match="two maps are multiplied"):
                    list(steps_of(squared, session, image))


def test_holes_are_seen_through(monkeypatch):
    """A convolution with holes, as TensorFlow writes it and as one operation, leads to the same places."""
    kernel = np.random.default_rng(0).standard_normal((3, 3, 3, 4)).astype(np.float32)
    image = np.random.default_rng(1).uniform(0, 9, (1, 8, 8, 3)).astype(np.float32)
    base = slim_models.build("vgg16", image_size=32, **THIN)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 8, 8, 3])
        apart = tf.space_to_batch(images, [[2, 2], [2, 2]], 2)
        written = tf.batch_to_space(tf.nn.conv2d(apart, kernel, 1, "VALID"), [[0, 0], [0, 0]], 2)
        alone = tf.nn.conv2d(images, kernel, 1, "SAME", dilations=2)
        np.testing.assert_allclose(*session.run([written, alone], {images: image}), rtol=1e-4)
        found = []
        for net in (written, alone):
            logits = tf.reduce_mean(tf.nn.relu(net), [1, 2])
            network = dataclasses.replace(base, images=images, logits=logits, endpoints={})
            ((_, spread), *_) = [(s, s.back) for s in steps_of(network, session, image) if s.inputs == (images.name,)]
            found.append([spread(((row, column, k), 1)) for row in range(8) for column in range(8) for k in range(4)])
    for (left,), (right,) in zip(*found):  # one at the peak, one at the centre, of the same channel
        assert left[1][0][2] == right[1][0][2] and max(np.abs(np.subtract(left[1][0], right[1][0]))) <= 2
