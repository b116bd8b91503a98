"""Graphs as trainings leave them: each is opened, and explains what the graph as it was says and differentiates."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from exact import close
from foreign import classifier, constant, load, write_pb

from gradcam.explainer import Explainer

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
LABELS = np.array([1, 2, 3], np.int64)


def oracle(session, logits, activations, feed):
    """By the graph as it was, in its own session: (logits, activations, d logits[:, 2] / d activations)."""
    with session.graph.as_default():
        gradient = tf.gradients(logits[:, 2], activations)[0]
    return session.run([logits, activations, gradient], feed)


def agrees(network, expected, images=IMAGES):
    """Grad-CAM's three numbers of the default layer are the graph's own."""
    with Explainer(network, rules=("backprop",)) as explainer:
        found = explainer.explain(images, 2)
    logits, activations, gradient = expected
    close(found.logits, logits)
    close(found.activations[network.default_layer], activations)
    close(found.gradients[network.default_layer], gradient, 1e-4)


@pytest.fixture
def session():
    graph = tf.Graph()
    with graph.as_default(), tf.Session(graph=graph) as session:
        yield session


def variables(net, relu=tf.nn.relu, classes=7, channels=3):
    """`classifier` of variables, as a program that trains has it."""
    kernel = tf.Variable(constant([3, 3, channels, 8]), use_resource=False, name="kernel")
    net = relu(tf.nn.conv2d(net, kernel, 2, "SAME"))
    weights = tf.Variable(constant([8, classes], 4), use_resource=False, name="weights")
    return net, tf.matmul(tf.reduce_mean(net, [1, 2]), weights, name="logits")


def meta_of(session, folder, saver=None):
    return f"{(saver or tf.train.Saver()).save(session, str(folder / 'model.ckpt'))}.meta"


def train(logits, labels, loss="softmax"):
    """A loss, an optimiser with momentum, metrics and summaries."""
    one_hot = tf.one_hot(labels, logits.shape[-1])
    if loss == "softmax":
        losses = tf.nn.softmax_cross_entropy_with_logits_v2(labels=one_hot, logits=tf.reshape(logits, [-1, 7]))
    else:
        losses = tf.math.squared_difference(logits, one_hot)
    tf.summary.histogram("logits_seen", logits)
    tf.summary.scalar("loss", tf.reduce_mean(losses))
    return tf.train.AdamOptimizer(0.01).minimize(tf.reduce_mean(losses))


@pytest.mark.parametrize("loss", ["softmax", "squared"])
@pytest.mark.parametrize("source", ["placeholder", "queue", "iterator"])
def test_pictures_from_wherever_a_training_has_them(source, loss, session, tmp_path):
    if source == "placeholder":
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
        labels = tf.placeholder(tf.int64, [None], name="y")
    elif source == "queue":
        fed = [tf.placeholder(kind, name="fed") for kind in (tf.int64, tf.float32, tf.int64)]
        queue = tf.FIFOQueue(10, [tf.int64, tf.float32, tf.int64], shapes=[[], [32, 32, 3], []])
        queue.enqueue_many(fed)
        _, images, labels = queue.dequeue_up_to(3)
    else:
        data = tf.data.Dataset.from_tensor_slices((np.arange(3), IMAGES)).batch(3)
        labels, images = tf.data.make_initializable_iterator(data).get_next()
    activations, logits = variables(images)
    expected_of = (logits, activations)
    train(logits, labels, loss)
    session.run(tf.global_variables_initializer())
    path = meta_of(session, tmp_path)
    lines = []
    network = load(path, say=lines.append)
    assert lines[0].startswith(f"images: {images.name} ")
    assert lines[1].startswith("logits: ")
    agrees(network, oracle(session, *expected_of, {images: IMAGES}))


def test_what_comes_beside_the_pictures_is_refused_by_name(session, tmp_path):
    data = tf.data.Dataset.from_tensor_slices((IMAGES, np.ones([3, 8], np.float32))).batch(3)
    images, scales = tf.data.make_initializable_iterator(data).get_next()
    net = tf.nn.relu(tf.nn.conv2d(images, tf.Variable(constant([3, 3, 3, 8])), 2, "SAME"))
    tf.nn.softmax(tf.matmul(tf.reduce_mean(net, [1, 2]) * scales, constant([8, 7])), name="scores")
    session.run(tf.global_variables_initializer())
    with pytest.raises(ValueError, match=r"depend on what IteratorGetNext \(IteratorGetNext\) gives beside"):
        load(meta_of(session, tmp_path))


@pytest.fixture(params=["switch", "if"])
def control_flow(request):
    """`tf.cond` as TensorFlow 1 wrote it, and as 2 does."""
    before = tf.control_flow_v2_enabled()
    (tf.enable_control_flow_v2 if request.param == "if" else tf.disable_control_flow_v2)()
    yield request.param
    (tf.enable_control_flow_v2 if before else tf.disable_control_flow_v2)()


@pytest.mark.parametrize("form", ["ref", "resource", "fused"])
@pytest.mark.parametrize("road", ["frozen", "meta"])
@pytest.mark.parametrize("name", ["net/phase_train", "scope/is_train", "inner/training", "learning_phase"])
def test_batch_norm_under_a_condition(name, road, form, control_flow, session, tmp_path):
    if name != "net/phase_train" and (form, road) != ("ref", "frozen"):
        pytest.skip("the name is read in one way")
    if form == "ref" and control_flow == "if":
        pytest.skip("functions take no references")
    images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
    training = tf.placeholder(tf.bool, [], name=name)
    net = tf.nn.conv2d(images / 255, tf.Variable(constant([3, 3, 3, 8])), 2, "SAME")
    kept = [tf.Variable(np.full(8, value, np.float32), use_resource=form != "ref") for value in (0.1, 2.0)]

    def trained():
        moments = tf.nn.moments(net, [0, 1, 2])
        updates = [tf.assign_sub(var, (var - now) * 0.1) for var, now in zip(kept, moments)]
        with tf.control_dependencies(updates):
            return [tf.identity(moment) for moment in moments]

    if form == "fused":
        ones = tf.ones([8])
        net = tf.cond(
            training,
            lambda: tf.nn.fused_batch_norm(net, ones, ones, is_training=True)[0],
            lambda: tf.nn.fused_batch_norm(net, ones, ones, *kept, is_training=False)[0],
        )
    else:
        mean, variance = tf.cond(training, trained, lambda: [tf.identity(var) for var in kept])
        net = tf.nn.batch_normalization(net, mean, variance, None, None, 1e-3)
    activations = tf.nn.relu(net)
    logits = tf.matmul(tf.reduce_mean(activations, [1, 2]), constant([8, 7]), name="logits")
    probabilities = tf.nn.softmax(logits)
    session.run(tf.global_variables_initializer())
    if road == "meta":
        path = meta_of(session, tmp_path)
    else:
        graph_def = session.graph.as_graph_def()
        frozen = tf.graph_util.convert_variables_to_constants(session, graph_def, [probabilities.op.name])
        path = write_pb(tmp_path / "net.pb", frozen)
    lines = []
    network = load(path, say=lines.append)
    assert f"{name}: False (guessed by its name)" in lines
    assert not [
        op.name for op in network.logits.graph.get_operations() if "explained" in op.name and op.type == "Merge"
    ]
    agrees(network, oracle(session, logits, activations, {images: IMAGES, training: False}))


@pytest.mark.parametrize(("name", "keeps"), [("dropout", True), ("Placeholder_3", False), ("dropout_rate", False)])
def test_a_dropout_by_what_it_does(name, keeps, session, tmp_path):
    images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
    number = tf.placeholder(tf.float32, [], name=name)
    activations, _ = classifier(images)
    kind = {"keep_prob": number} if keeps else {"rate": number}
    net = tf.nn.dropout(tf.reduce_mean(activations, [1, 2]), **kind)
    logits = tf.matmul(net, constant([12, 7], 9), name="end")
    lines = []
    network = load(write_pb(tmp_path / "net.pb", session.graph.as_graph_def()), logits="end", say=lines.append)
    assert f"{name}: {1.0 if keeps else 0.0} (found: it goes into a dropout)" in lines
    agrees(network, oracle(session, logits, activations, {images: IMAGES, number: 1.0 if keeps else 0.0}))


def test_a_default_that_was_for_training(session, tmp_path):
    images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
    keep = tf.placeholder_with_default(0.5, [], name="keep_prob")
    activations, _ = classifier(images)
    net = tf.nn.dropout(tf.reduce_mean(activations, [1, 2]), keep_prob=keep)
    logits = tf.matmul(net, constant([12, 7], 9), name="end")
    network = load(write_pb(tmp_path / "net.pb", session.graph.as_graph_def()), logits="end")
    agrees(network, oracle(session, logits, activations, {images: IMAGES, keep: 1.0}))


def test_several_shapes_of_the_same_logits_are_one(session, tmp_path):
    images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
    activations, _ = classifier(images)
    net = tf.nn.conv2d(tf.reduce_mean(activations, [1, 2], keepdims=True), constant([1, 1, 12, 7]), 1, "SAME", name="c")
    squeezed = tf.squeeze(net, [1, 2], name="squeezed")
    tf.nn.softmax(squeezed)
    tf.nn.sigmoid(tf.reshape(net, [-1, 7], name="reshaped"))
    graph_def = tf.graph_util.extract_sub_graph(session.graph.as_graph_def(), ["Softmax", "Sigmoid"])
    network = load(write_pb(tmp_path / "net.pb", graph_def))
    agrees(network, oracle(session, squeezed, activations, {images: IMAGES}))


@pytest.mark.parametrize("scaled", [False, True])
def test_flat_pixels_that_are_reshaped(scaled, session, tmp_path):
    flat = tf.placeholder(tf.float32, [None, 3072], name="x")
    labels = tf.placeholder(tf.int64, [None], name="y")
    pictures = tf.reshape(flat / 255 if scaled else flat, [-1, 32, 32, 3], name="pictures")
    tf.summary.image("seen", tf.reshape(flat, [-1, 32, 32, 3]))
    activations, logits = variables(pictures)
    train(logits, labels)
    session.run(tf.global_variables_initializer())
    lines = []
    path = meta_of(session, tmp_path)
    network = load(path, say=lines.append)
    left = "; what truediv does to it before is left out" if scaled else ""
    assert lines[0] == (
        f"images: pictures:0 float32 [?, 32, 32, 3] (found: what x:0 float32 [?, 3072] is reshaped to{left})"
    )
    factor = 255 if scaled else 1
    agrees(network, oracle(session, logits, activations, {flat: IMAGES.reshape(3, -1) * factor}))
    assert load(path, images="x").images.shape.as_list() == [None, 32, 32, 3]


@pytest.mark.parametrize("bias", ["BiasAdd", "add", "batch_norm", "none"])
def test_convolutions_without_activations(bias, session, tmp_path):
    net = images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
    for number, depth in enumerate((6, 8)):
        net = tf.nn.conv2d(net, constant([3, 3, net.shape[-1], depth], number), 1, "SAME")
        if bias == "BiasAdd":
            net = tf.nn.bias_add(net, constant([depth], 9), name=f"last_{number}")
        elif bias == "add":
            net = tf.add(net, constant([depth], 9), name=f"last_{number}")
        elif bias == "batch_norm":
            net = tf.nn.batch_normalization(net, *(constant([depth], i) ** 2 for i in range(4)), 0.1)
        convolution = net
        net = tf.nn.max_pool2d(net, 2, 2, "SAME")
    net = tf.nn.relu(tf.matmul(tf.reshape(net, [-1, 512]), constant([512, 12], 5)))
    logits = tf.matmul(net, constant([12, 7], 6), name="logits")
    lines = []
    network = load(write_pb(tmp_path / "net.pb", session.graph.as_graph_def()), say=lines.append)
    name = convolution.op.name
    assert list(network.endpoints)[-1] == network.default_layer == name
    assert len(network.endpoints) == 2
    assert lines[-1] == f"layer: {name} (found: the last convolution, as no activation has a spatial extent)"
    agrees(network, oracle(session, logits, convolution, {images: IMAGES}))


@pytest.mark.parametrize("size", [32, 64])
def test_a_fully_convolutional_head(size, session, tmp_path):
    """What becomes `[N, 1, 1, C]` at its size, or has the mean taken outside of the graph."""
    images = tf.placeholder(tf.float32, [None, None, None, 3], name="x")
    net = tf.nn.conv2d(images, constant([3, 3, 3, 8]), 4, "SAME")
    activations = tf.nn.relu(net)
    net = tf.nn.avg_pool2d(activations, 8, 8, "VALID")
    places = tf.nn.bias_add(tf.nn.conv2d(net, constant([1, 1, 8, 7], 3), 1, "SAME"), constant([7], 4), name="places")
    lines = []
    path = write_pb(tmp_path / "net.pb", session.graph.as_graph_def())
    network = load(path, image_size=size, say=lines.append)
    line = "logits: the mean of places:0 over its height and width (guessed: it has logits for every place)"
    assert line in lines
    pictures = np.resize(IMAGES, (3, size, size, 3))
    expected = oracle(session, tf.reduce_mean(places, [1, 2]), activations, {images: pictures})
    agrees(network, expected, pictures)


def test_features_for_every_place_are_no_logits(session, tmp_path):
    images = tf.placeholder(tf.float32, [None, None, None, 3], name="x")
    tf.nn.relu(tf.nn.conv2d(images, constant([3, 3, 3, 8]), 4, "SAME"), name="features")
    with pytest.raises(ValueError, match="no classifier"):
        load(write_pb(tmp_path / "net.pb", session.graph.as_graph_def()))


def test_what_waits_for_a_variable_that_stays_where_it_is(session, tmp_path):
    """A condition makes the part keep its control inputs, and variables are not in what is imported of it."""
    images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
    weights = tf.get_variable("lstm/weights", initializer=constant([8, 7], 4), use_resource=False)
    kernel = tf.get_variable("kernel", initializer=constant([3, 3, 3, 8]), use_resource=False)
    activations = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME"))
    before = tf.control_flow_v2_enabled()
    tf.disable_control_flow_v2()
    try:
        with tf.control_dependencies([weights.op]):
            pooled = tf.reduce_mean(activations, [1, 2])
        bright = tf.reduce_mean(images) > 100
        pooled = tf.cond(bright, lambda: pooled * 0.5, lambda: pooled * 2.0)
    finally:
        (tf.enable_control_flow_v2 if before else tf.disable_control_flow_v2)()
    logits = tf.matmul(pooled, weights, name="logits")
    session.run(tf.global_variables_initializer())
    network = load(meta_of(session, tmp_path), logits="logits")
    agrees(network, oracle(session, logits, activations, {images: IMAGES}))


def test_classes_for_every_pixel_are_no_logits(session, tmp_path):
    images = tf.placeholder(tf.float32, [None, None, None, 3], name="x")
    net = tf.nn.relu(tf.nn.conv2d(images, constant([3, 3, 3, 8]), 2, "SAME"))
    tf.nn.conv2d(net, constant([1, 1, 8, 21], 1), 1, "SAME", name="masks")
    message = "masks:0 has classes for 112 x 112 places of pictures of 224 x 224, as a segmentation has"
    with pytest.raises(ValueError, match=message):
        load(write_pb(tmp_path / "net.pb", session.graph.as_graph_def()))


def test_a_trainings_own_condition_keeps_no_control_inputs(session, tmp_path):
    images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
    labels = tf.placeholder(tf.int64, [None], name="y")
    activations, logits = variables(images)
    with tf.control_dependencies([tf.debugging.assert_less(labels, np.int64(7))]):
        logits = tf.identity(logits, name="checked")
    switch = tf.raw_ops.Switch(data=1.0, pred=tf.placeholder(tf.bool, [], name="odd"))
    tf.raw_ops.Merge(inputs=list(switch))
    session.run(tf.global_variables_initializer())
    network = load(meta_of(session, tmp_path), logits="checked")
    agrees(network, oracle(session, logits, activations, {images: IMAGES, labels: LABELS}))


@pytest.mark.parametrize("choice", [None, False, True])
@pytest.mark.parametrize("resource", [False, True])
def test_moving_averages_beside_the_variables(resource, choice, session, tmp_path):
    images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="x")
    own = [np.random.default_rng(seed).normal(0, 0.3, shape) for seed, shape in ((0, (3, 3, 3, 8)), (1, (8, 7)))]
    names = ("conv/kernel", "head/weights")
    kernel, weights = (
        tf.get_variable(name, initializer=tf.constant(value, tf.float32), use_resource=resource)
        for name, value in zip(names, own)
    )
    activations = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME"))
    logits = tf.matmul(tf.reduce_mean(activations, [1, 2]), weights, name="logits")
    averages = tf.train.ExponentialMovingAverage(0.5)
    update = averages.apply([kernel, weights])
    session.run([kernel.initializer, weights.initializer])  # what the averages begin with
    session.run(tf.global_variables_initializer())
    for variable in (kernel, weights):
        session.run(variable.assign(variable * 3.0))
    session.run(update)  # the averages are now twice what the variables began with
    lines = []
    path = meta_of(session, tmp_path)
    network = load(path, averages=choice, say=lines.append)
    if choice:
        for variable, value in zip((kernel, weights), own):
            session.run(variable.assign(value * 2))
    said = {
        None: "values: the variables' own, not the moving averages that 2 of them have (--averages)",
        True: "values: the moving averages of 2 variables, in place of their own",
    }
    assert [line for line in lines if line.startswith("values: ")] == ([said[choice]] if choice in said else [])
    agrees(network, oracle(session, logits, activations, {images: IMAGES}))
    with pytest.raises(ValueError, match="live session are used where they are"):
        load(session, averages=True)


def test_moving_averages_that_are_not_there(tmp_path):
    with tf.Graph().as_default() as graph:
        classifier(tf.placeholder(tf.float32, [None, 32, 32, 3]))
    with pytest.raises(ValueError, match=r"no moving averages \(ExponentialMovingAverage\) of variables in net"):
        load(write_pb(tmp_path / "net.pb", graph.as_graph_def()), averages=True)
