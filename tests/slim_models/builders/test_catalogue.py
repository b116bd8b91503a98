"""What the catalogue says of a network is what its builder does."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim_models
from slim_models.backward import signal_path
from slim_models.builders import preprocessing_for


@pytest.fixture(scope="module", params=slim_models.NETWORKS)
def network(request):
    """Each network, an eighth as wide."""
    return slim_models.build(request.param, width_divisor=8)


def test_the_preprocessing(network):
    """In the middle of a picture of one colour, where no padding is, what the first convolution reads."""
    picture = np.broadcast_to(np.float32([200, 100, 30]), (1, *network.image_size, 3))
    first = next(op for op in signal_path(network.logits, [network.images]) if op.type == "Conv2D")
    with tf.Session(graph=network.graph) as session:
        read = session.run(first.inputs[0], {network.images: picture})
    with tf.Graph().as_default(), tf.Session() as session:
        made = session.run(preprocessing_for(slim_models.NETWORKS[network.name].preprocessing)(tf.constant(picture)))
    middle = read[0, read.shape[1] // 2, read.shape[2] // 2]
    np.testing.assert_allclose(middle, made[0, 0, 0], rtol=1e-5, atol=1e-4)


def test_the_first_and_the_last_weights_and_the_endpoints(network):
    """What is told without TensorFlow is what is built."""
    entry = slim_models.NETWORKS[network.name]
    names = list(network.weight_shapes())
    first, last = entry.ends
    assert names.index(first) < 3 and names.index(last) > len(names) - 3
    assert entry.endpoints == list(network.endpoints)
    assert entry.default_layer in entry.endpoints
