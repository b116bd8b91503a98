"""`decided` and `dereferenced`: conditions that constants decide, and assignments to what is constant."""

import tensorflow.compat.v1 as tf

from slim_models.loading.passes.decided import decided
from slim_models.loading.passes.dereferenced import dereferenced
from slim_models.loading.passes.graph import Graph


def conditional(predicate):
    with tf.Graph().as_default() as graph:
        no, yes = tf.raw_ops.Switch(data=tf.placeholder(tf.float32, [2], name="x"), pred=predicate())
        tf.raw_ops.Merge(inputs=[tf.negative(no, name="no"), tf.square(yes, name="yes")], name="end")
    return Graph(graph.as_graph_def())


def result(graph, fetch, value):
    with tf.Graph().as_default(), tf.Session() as session:
        (tensor,) = tf.import_graph_def(graph.graph_def, return_elements=[fetch], name="")
        return session.run(tensor, {"x:0": value}).tolist()


def test_the_branch_that_a_constant_rules_out_is_gone():
    for taken, values, gone in ((False, [-2.0, -3.0], "yes"), (True, [4.0, 9.0], "no")):
        found = decided(conditional(lambda taken=taken: tf.constant(taken)))
        assert {node.op for node in found.graph_def.node} <= {"Placeholder", "Const", "Identity", "Neg", "Square"}
        assert gone not in found.nodes
        assert result(found, "end:0", [2.0, 3.0]) == values


def test_what_only_a_run_decides_stays():
    given = conditional(lambda: tf.placeholder(tf.bool, []))
    assert decided(given) is given


def test_assignments_to_constants_are_values():
    graph_def = tf.GraphDef()
    with tf.Graph().as_default() as graph:
        tf.placeholder(tf.float32, [2], name="x")
        tf.constant([1.0, 1.0], name="mean")
    graph_def.CopyFrom(graph.as_graph_def())
    for name, op in (("sub", "AssignSub"), ("set", "Assign"), ("add", "AssignAdd")):
        node = graph_def.node.add(name=name, op=op, input=["mean", "x"])
        node.attr["T"].type = tf.float32.as_datatype_enum
        node.attr["use_locking"].b = False
    found = dereferenced(Graph(graph_def))
    assert [result(found, f"{name}:0", [2.0, 3.0]) for name in ("sub", "set", "add")] == [
        [-1.0, -2.0],
        [2.0, 3.0],
        [3.0, 4.0],
    ]


def test_a_graph_with_variables_keeps_its_assignments():
    with tf.Graph().as_default() as graph:
        variable = tf.Variable([1.0], use_resource=False)
        tf.assign(variable, [2.0])
    given = Graph(graph.as_graph_def())
    assert dereferenced(given) is given
