"""What the catalogue says of a network is what its builder does."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim_models
from slim_models.backward import signal_path
from slim_models.builders import preprocessing_for


@pytest.mark.parametrize("name", slim_models.NETWORKS)
def test_the_preprocessing(name):
    """In the middle of a picture of one colour, where no padding is, what the first convolution reads."""
    network = slim_models.build(name, width_divisor=8 if name.startswith(("vgg", "resnet", "mobile")) else None)
    picture = np.broadcast_to(np.float32([200, 100, 30]), (1, *network.image_size, 3))
    first = next(op for op in signal_path(network.logits, [network.images]) if op.type == "Conv2D")
    with tf.Session(graph=network.graph) as session:
        read = session.run(first.inputs[0], {network.images: picture})
    with tf.Graph().as_default(), tf.Session() as session:
        made = session.run(preprocessing_for(slim_models.NETWORKS[name].preprocessing)(tf.constant(picture)))
    middle = read[0, read.shape[1] // 2, read.shape[2] // 2]
    np.testing.assert_allclose(middle, made[0, 0, 0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", slim_models.NETWORKS)
def test_the_first_and_the_last_weights_and_the_endpoints(name):
    """What is told without TensorFlow is what is built."""
    network, entry = slim_models.build(name, width_divisor=8), slim_models.NETWORKS[name]
    names = list(network.weight_shapes())
    first, last = entry.ends
    assert names.index(first) < 3 and names.index(last) > len(names) - 3
    assert entry.endpoints == list(network.endpoints)
    assert entry.default_layer in entry.endpoints
