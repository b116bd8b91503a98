"""Pictures explained while a network learns: TensorBoard reads what is there, and the training does not notice."""

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import constant
from tensorboard_events import events

import slim_models
from gradcam.explainer import Explainer
from gradcam.pictures import Photograph, read_photograph
from gradcam.training import ExplainCallback, ExplainHook
from slim_models.mistakes import BadValue

SIZE, RNG = 32, np.random.default_rng(0)
DATA = RNG.uniform(0, 255, (16, SIZE, SIZE, 3)).astype(np.float32)
CLASSES = RNG.integers(0, 5, 16)
PICTURE = Photograph("noise", RNG.integers(0, 255, (40, 50, 3)).astype(np.uint8))


def trained(values):
    """A training's graph as people write it: pictures out of a queue, dropout, a loss, an optimiser, a global step."""
    tf.train.get_or_create_global_step()
    data = tf.data.Dataset.from_tensor_slices((DATA, CLASSES)).shuffle(16, seed=3).repeat().batch(4)
    images, classes = tf.data.make_one_shot_iterator(data).get_next()
    with tf.variable_scope("net", use_resource=True):
        kernel = tf.get_variable("kernel", initializer=constant([3, 3, 3, 8]))
        head = tf.get_variable("head", initializer=constant([8, 5], 4))
    inputs = tf.identity(images / 255.0, name="inputs")
    activations = tf.nn.relu(tf.nn.conv2d(inputs, kernel, 2, "SAME"), name="relu")
    rate = values.get("dropout", tf.placeholder_with_default(0.3, []))  # which says that it can be another
    pooled = tf.nn.dropout(tf.reduce_mean(activations, [1, 2]), rate=rate, seed=1)
    logits = tf.matmul(values.get("noise", tf.identity)(pooled), head, name="logits")
    loss = tf.losses.sparse_softmax_cross_entropy(classes, logits)
    optimizer = tf.train.MomentumOptimizer(values.get("rate", 0.5), 0.9)
    gradients = optimizer.compute_gradients(loss)
    return optimizer.apply_gradients(gradients, tf.train.get_global_step()), [gradient for gradient, _ in gradients]


def learn(steps, hooks=(), **values):
    """What every step's gradients were, and the weights in the end."""
    seen = []
    with tf.Graph().as_default():
        tf.set_random_seed(5)
        train, gradients = trained(values)
        weights = {variable.op.name: variable for variable in tf.trainable_variables()}
        with tf.train.MonitoredSession(hooks=list(hooks)) as session:
            for _ in range(steps):
                seen.append(session.run([*gradients, train])[:-1])
            return seen, session.run(weights)


def hook(folder, **options):
    found = {"images_tensor": "inputs", "logits_tensor": "logits", "preprocessing": "zero_to_one", "image_size": SIZE}
    return ExplainHook([PICTURE], logdir=folder, **{"every_steps": 2, **found, **options})


def expected(weights, target):
    """By hand: the overlay of a network of these weights, built and explained on its own."""
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        images = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="x")
        activations = tf.nn.relu(tf.nn.conv2d(images / 255.0, weights["net/kernel"], 2, "SAME"))
        logits = tf.matmul(tf.reduce_mean(activations, [1, 2]), weights["net/head"])
        gradients = tf.gradients(logits[:, target], activations)[0]
        a, g, z = session.run([activations, gradients, logits], {images: PICTURE.fitted(SIZE)[None]})
    cam = np.maximum((a * g.mean((1, 2), keepdims=True)).sum(-1), 0)[0]
    exponents = np.exp(z[0] - z[0].max())
    return PICTURE.overlay(PICTURE.heatmap(cam)), (exponents / exponents.sum())[target]


def test_tensorboard_shows_what_the_network_was_at_each_step(tmp_path):
    _, weights = learn(5, [hook(tmp_path, targets=3)])
    pictures, numbers, texts = events(tmp_path)
    (shown,) = pictures.values()
    assert list(pictures) == ["noise/class 3"]
    assert [step for step, _ in shown] == [1, 3, 5]
    overlay, probability = expected(weights, 3)
    assert np.abs(shown[-1][1].astype(int) - overlay).max() <= 1
    assert numbers["noise/class 3/output"][-1][1] == pytest.approx(probability, rel=1e-4)
    assert not np.array_equal(shown[0][1], shown[-1][1])
    assert texts["noise/class 3"][-1] == (5, f"class 3: {probability:.1%} (grad_cam of relu)")


def test_no_gradient_of_the_training_changes(tmp_path):
    plain, with_hook = learn(5), learn(5, [hook(tmp_path, every_steps=1, method="guided_grad_cam")])
    for mine, theirs in zip(tf.nest.flatten(plain), tf.nest.flatten(with_hook)):
        np.testing.assert_array_equal(mine, theirs)
    assert len(events(tmp_path)[0]["noise/predicted"]) == 5


def test_a_training_that_diverges_goes_on(tmp_path):
    with pytest.warns(RuntimeWarning, match="nothing is explained at step"):
        learn(4, [hook(tmp_path, every_steps=1)], rate=float("nan"))


@pytest.mark.filterwarnings("error:.*is random")
def test_dropout_is_left_out_where_nothing_says_that_it_can_be(tmp_path):
    """As in the graph that an Estimator makes for its training."""
    _, weights = learn(1, [hook(tmp_path, targets=3)], dropout=0.3)
    ((_, said), *_) = events(tmp_path)[1]["noise/class 3/output"]
    assert said == pytest.approx(expected(weights, 3)[1], rel=1e-4)


def test_what_is_random_and_no_dropout_is_told(tmp_path):
    noise = tf.random.normal
    with pytest.warns(RuntimeWarning, match="is random, as in dropout"):
        learn(1, [hook(tmp_path)], noise=lambda pooled: pooled + noise(tf.shape(pooled), seed=2))


def test_an_estimator(tmp_path):
    if not hasattr(tf, "estimator"):
        pytest.skip("this TensorFlow has no tf.estimator")

    def model(features, labels, mode):
        train, _ = trained({})
        loss = tf.losses.get_losses()[0]
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train)

    config = tf.estimator.RunConfig(model_dir=str(tmp_path), log_step_count_steps=None)
    data = lambda: tf.data.Dataset.from_tensors((DATA, CLASSES)).repeat()  # noqa: E731
    tf.estimator.Estimator(model, config=config).train(data, steps=3, hooks=[hook(tmp_path)])
    assert [step for step, _ in events(tmp_path)[0]["noise/predicted"]] == [1, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_steps": 0}, "every_steps must be at least 1"),
        ({"preprocessing": None}, "preprocessing"),
        ({"targets": 9}, "9"),
        ({"layer": "nothing"}, "there is no layer 'nothing'"),
    ],
)
def test_mistakes_are_told_before_the_first_step(options, message, tmp_path):
    with pytest.raises((ValueError, KeyError), match=message):
        learn(1, [hook(tmp_path, **options)])


def test_pictures_that_cannot_be(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no picture at nothing\.png"):
        ExplainHook(["nothing.png"], every_steps=1, logdir=tmp_path)
    with pytest.raises(BadValue, match="must be a list"):
        ExplainHook("sample:coffee", every_steps=1, logdir=tmp_path)
    with pytest.raises(BadValue, match="global step"), tf.Graph().as_default():
        ExplainHook([PICTURE], every_steps=1, logdir=tmp_path).begin()


def model_of_keras():
    keras = tensorflow.keras
    keras.utils.set_random_seed(7)
    inputs = keras.Input((SIZE, SIZE, 3))
    maps = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="maps")(inputs)
    pooled = keras.layers.Dropout(0.3)(keras.layers.GlobalAveragePooling2D()(maps))
    model = keras.Model(inputs, keras.layers.Dense(5, activation="softmax", name="classes")(pooled))
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    return model


def fitted(*callbacks):
    model = model_of_keras()
    model.fit(DATA, CLASSES, batch_size=4, epochs=2, verbose=0, callbacks=list(callbacks))
    return model


def test_keras_learns_the_same_and_is_explained_after_every_epoch(tmp_path):
    callback = ExplainCallback(["sample:coffee", PICTURE], logdir=tmp_path, targets=[2, None], preprocessing="none")
    model, plain = fitted(callback), fitted()
    for mine, theirs in zip(model.get_weights(), plain.get_weights()):
        np.testing.assert_array_equal(mine, theirs)
    pictures, numbers, _ = events(tmp_path)
    assert set(pictures) == {"coffee/class 2", "noise/predicted"}
    assert [step for step, _ in pictures["coffee/class 2"]] == [0, 4, 8]
    coffee = read_photograph("sample:coffee")
    with Explainer(slim_models.open_network(model, preprocessing="none")) as explainer:
        explanation = explainer.explain(coffee.fitted(SIZE)[None], 2)
    overlay = coffee.overlay(coffee.heatmap(explanation.cam()[0]))
    assert np.abs(pictures["coffee/class 2"][-1][1].astype(int) - overlay).max() <= 1
    assert numbers["coffee/class 2/output"][-1][1] == pytest.approx(explanation.probabilities[0, 2], rel=1e-5)


def test_keras_is_explained_every_so_many_steps(tmp_path):
    fitted(ExplainCallback([PICTURE], logdir=tmp_path, every_steps=3, preprocessing="none"))
    assert [step for step, _ in events(tmp_path)[0]["noise/predicted"]] == [0, 3, 6, 8]
