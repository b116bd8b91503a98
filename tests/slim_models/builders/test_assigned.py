"""Variables without initial values are variables like others, but that they are to be assigned."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from thin import THIN, less_deep

import slim_models
from slim_models.builders import architecture
from slim_models.builders.assigned import assigned_variable
from slim_models.weights import assign_weights, random_weights


@pytest.mark.parametrize("name", ["vgg16", "resnet_v1_50", "mobilenet_v1", "efficientnet_lite0"])
def test_they_are_the_variables_that_tensorflow_would_make(name):
    """Compared with the same builder as a training calls it."""

    def described(variables):
        names = [(v.op.name, v.initializer.name, v.value().op.type) for v in variables]
        return names, [(v.shape.as_list(), v.dtype.base_dtype, v.trainable) for v in variables]

    network = slim_models.build(name, image_size=64, **THIN)
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, 64, 64, 3])
        architecture(name).builder(images, **less_deep(name, THIN))
        expected = described(tf.global_variables()), described(tf.trainable_variables())
    with network.graph.as_default():
        network.graph.get_operation_by_name(f"{expected[0][0][0][0]}/Read/ReadVariableOp")  # as TensorFlow calls it
        assert (described(tf.global_variables()), described(tf.trainable_variables())) == expected


def test_no_operation_makes_initial_values():
    """A variable is four operations, and one that reads it for each layer."""
    types = [operation.type for operation in slim_models.build("vgg16", image_size=64, **THIN).graph.get_operations()]
    assert "TruncatedNormal" not in types
    assert types.count("VarHandleOp") == types.count("AssignVariableOp") == 32
    assert types.count("ReadVariableOp") == 2 * 32


def test_savers_take_them(tmp_path):
    network = slim_models.build("resnet_v1_50", image_size=64, **THIN)
    weights = random_weights(network)
    with network.graph.as_default():
        saver = tf.train.Saver(network.variables())
    with tf.Session(graph=network.graph) as session:
        assign_weights(session, network, weights)
        path = saver.save(session, str(tmp_path / "model.ckpt"))
    with tf.Session(graph=network.graph) as session:
        saver.restore(session, path)
        found = session.run(network.variables())
    assert set(found) == set(weights)
    assert all((found[name] == weights[name]).all() for name in weights)


def test_in_any_scope_and_precision():
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.variable_scope("outer", custom_getter=assigned_variable), tf.name_scope("elsewhere"):
            variable = tf.get_variable("inner", [2, 3], tf.bfloat16, trainable=False)
        assert variable.op.name == "outer/inner"
        assert tf.trainable_variables() == []
        with pytest.raises(tf.errors.OpError, match=r"outer/inner/value"):
            session.run(tf.global_variables_initializer())
        session.run(variable.initializer, {variable.initializer.inputs[1]: np.ones([2, 3])})
        assert session.run(tf.reduce_sum(variable)) == 6
