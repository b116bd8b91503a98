"""What a `Graph` says of a GraphDef, each answer made once."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from slim_models.loading.passes.graph import SMALL, Graph, Rewriting, node_name, tensor_name


def build(x):
    """`y = (2 x) W + size of x`: one constant small, one not."""
    doubled = tf.multiply(x, tf.constant(2.0, name="two"), name="doubled")
    product = tf.matmul(doubled, tf.constant(np.ones((6, 100), np.float32), name="weights"), name="product")
    tf.add(product, tf.cast(tf.size(x, name="size"), tf.float32, name="number"), name="y")


def graph_of(build, shape=(None, 6)):
    with tf.Graph().as_default() as graph:
        build(tf.placeholder(tf.float32, shape, name="x"))
    return Graph(graph.as_graph_def())


@pytest.fixture
def imports(monkeypatch):
    """A list that grows by one with every inference."""
    made, real = [], tf.import_graph_def
    monkeypatch.setattr(tf, "import_graph_def", lambda *args, **named: made.append(1) or real(*args, **named))
    return made


@pytest.mark.parametrize(
    ("reference", "tensor", "node"),
    [("x", "x:0", "x"), ("x:1", "x:1", "x"), ("^x", "^x", "x"), ("a/x:12", "a/x:12", "a/x")],
)
def test_names(reference, tensor, node):
    assert (tensor_name(reference), node_name(reference)) == (tensor, node)


def test_every_answer_is_made_once(imports):
    graph = graph_of(build)
    for name in ("nodes", "topological", "constants", "skeleton", "inferred"):
        assert getattr(graph, name) is getattr(graph, name)
    assert len(imports) == 1
    assert graph.inferred_for("x:0", [2, 6]) is graph.inferred_for("x:0", (2, 6))
    assert len(imports) == 2
    assert graph.inferred_for("x:0", [None, 6]) is graph.inferred  # the shape that it has
    assert len(imports) == 2


def test_shapes():
    graph = graph_of(build)
    assert graph.inferred.get_tensor_by_name("y:0").shape.as_list() == [None, 100]
    assert graph.inferred_for("x:0", [2, 6]).get_tensor_by_name("y:0").shape.as_list() == [2, 100]
    assert graph.inferred_for("doubled:0", [3, 6]).get_tensor_by_name("y:0").shape.as_list() == [3, 100]
    with pytest.raises(ValueError, match="TensorFlow cannot import the graph: "):
        graph.inferred_for("x:0", [2, 7])


def test_a_tensor_of_another_type_is_replaced_though_the_shape_is_its_own():
    with tf.Graph().as_default() as built:
        tf.cast(tf.placeholder(tf.uint8, [None, 6], name="x"), tf.float32)
    graph = Graph(built.as_graph_def())
    with pytest.raises(ValueError, match="TensorFlow cannot import the graph: "):  # the Cast takes uint8
        graph.inferred_for("x:0", [None, 6])


def test_the_skeleton_holds_small_values_only():
    graph = graph_of(build)
    assert [node.name for node in graph.skeleton.node] == [node.name for node in graph.graph_def.node]
    kinds = {node.name: node.op for node in graph.skeleton.node}
    assert (kinds["two"], kinds["weights"]) == ("Const", "ImmutableConst")
    assert graph.skeleton.ByteSize() < graph.graph_def.ByteSize() - 6 * 100 * 4 + 200
    assert list(graph.constants) == ["two:0"] and SMALL < 600
    assert graph.nodes["weights"].op == "Const"  # the graph itself stays what it is


def test_topological_order_whatever_the_order_in_the_file():
    graph = graph_of(build)
    shuffled = tf.GraphDef(versions=graph.graph_def.versions)
    shuffled.node.extend(reversed(graph.graph_def.node))
    places = {node.name: place for place, node in enumerate(Graph(shuffled).topological)}
    assert len(places) == len(graph.nodes)
    for node in graph.graph_def.node:
        assert all(places[node_name(read)] < places[node.name] for read in node.input)


def test_a_circle_is_no_order():
    graph_def = graph_of(build).graph_def
    next(node for node in graph_def.node if node.name == "doubled").input[1] = "y"
    with pytest.raises(ValueError, match=r"read each other in a circle: \['doubled', 'product', 'y'\]"):
        _ = Graph(graph_def).topological


def test_what_is_computed_from_a_tensor():
    graph = graph_of(build)

    def names(*args, **options):
        return [node.name for node in graph.computed_from(*args, **options)]

    assert set(names(["x:0"])) == {"doubled", "product", "size", "number", "y"}
    assert names(["x:0"], but=["Size"]) == ["doubled", "product", "y"]
    assert names(["product:0"]) == ["y"]


def test_a_graph_that_is_alike_keeps_the_shapes(imports):
    graph = graph_of(build)
    before = graph.alike(graph.graph_def)
    shapes = graph.inferred
    graph.inferred_for("x:0", [2, 6])
    other = graph.alike(graph.skeleton, {"weights": graph.nodes["weights"]})
    assert other.inferred is shapes and list(other.heavy) == ["weights"]
    assert other.inferred_for("x:0", [2, 6]) is graph.inferred_for("x:0", [2, 6])
    assert len(imports) == 2
    assert other.alike(graph.graph_def).heavy is other.heavy
    other.inferred_for("x:0", [3, 6])  # what it is asked later is its own
    assert graph.inferred_for("x:0", [3, 6]) is not other.inferred_for("x:0", [3, 6])
    assert before.inferred is not shapes


def test_what_is_rewritten_is_a_graph_of_its_own():
    graph = graph_of(build).alike(graph_of(build).graph_def, {"weights": tf.NodeDef()})
    rewriting = Rewriting(graph)
    for node in graph.graph_def.node:
        rewriting.copy(node)
    assert rewriting.constant("two", np.float32(3)) == "two_1:0"
    rewritten = rewriting.finished()
    assert set(rewritten.nodes) == {*graph.nodes, "two_1"} and rewritten.heavy is graph.heavy
    assert rewritten.inferred is not graph.inferred
