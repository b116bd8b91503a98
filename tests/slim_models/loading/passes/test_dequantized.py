"""`dequantized`: weights kept in 8 bits become the floats that TensorFlow makes of them."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.dequantized import dequantized
from slim_models.loading.passes.graph import Graph


@pytest.mark.parametrize(("mode", "kind"), [("MIN_COMBINED", np.uint8), ("MIN_FIRST", np.uint8), ("SCALED", np.int8)])
def test_as_tensorflow_computes_it(mode, kind):
    values = np.random.default_rng(0).integers(0, 100, (3, 3, 4, 8)).astype(kind)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        quantized = tf.bitcast(tf.constant(values), tf.quint8 if kind == np.uint8 else tf.qint8)
        quantized = tf.constant(session.run(quantized), quantized.dtype, name="weights_quantized")
        result = tf.raw_ops.Dequantize(
            input=tf.identity(quantized), min_range=-1.25, max_range=2.5, mode=mode, name="weights"
        )
        expected = session.run(result)
    found = dequantized(Graph(graph.as_graph_def()))
    assert found.nodes["weights"].op == "Const"
    np.testing.assert_array_equal(tf.make_ndarray(found.nodes["weights"].attr["value"].tensor), expected)


def test_what_is_no_constant_stays():
    with tf.Graph().as_default() as graph:
        tf.raw_ops.Dequantize(input=tf.placeholder(tf.quint8, [3]), min_range=0.0, max_range=1.0)
    given = Graph(graph.as_graph_def())
    assert dequantized(given) is given
