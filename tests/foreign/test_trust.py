"""Nothing that a file holds reaches outside of the network: it is refused by its name and type, or is not run."""

import pathlib

import numpy as np
import pytest
import tensorflow
import tensorflow.compat.v1 as tf
from foreign import classifier, constant, load, write_pb, write_saved_model

from gradcam.cli.main import main
from gradcam.explainer import Explainer
from slim_models.loading.confined import confined
from slim_models.loading.operations import is_allowed, is_idle
from slim_models.mistakes import BadValue

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)


def number(text):
    return tf.cast(tf.strings.length(text), tf.float32)


def table(path):
    handle = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
    options = {"key_index": -2, "value_index": -1}
    return tf.raw_ops.InitializeTableFromTextFileV2(table_handle=handle, filename=str(path), **options)


raw = tf.raw_ops
# Type -> what makes an operation of it that reads, writes or runs what `path` says.
REACHING = {
    "ReadFile": lambda path: raw.ReadFile(filename=str(path)),
    "WriteFile": lambda path: raw.WriteFile(filename=str(path), contents="written"),
    "MatchingFiles": lambda path: raw.MatchingFiles(pattern=f"{path.parent}/*"),
    "PrintV2": lambda path: raw.PrintV2(input="printed", output_stream=f"file://{path}"),
    "PyFunc": lambda path: raw.PyFunc(input=[str(path)], token="pyfunc_0", Tout=[tf.string]),
    "PyFuncStateless": lambda path: raw.PyFuncStateless(input=[str(path)], token="pyfunc_0", Tout=[tf.string]),
    "EagerPyFunc": lambda path: raw.EagerPyFunc(input=[str(path)], token="pyfunc_0", Tout=[tf.string]),
    "DebugIdentity": lambda path: raw.DebugIdentity(input="x", debug_urls=[f"file://{path}"]),
    "DebugIdentityV2": lambda path: raw.DebugIdentityV2(input="x", debug_urls=[f"file://{path}"]),
    "SaveV2": lambda path: raw.SaveV2(prefix=str(path), tensor_names=["a"], shape_and_slices=[""], tensors=[1.0]),
    "RestoreV2": lambda path: raw.RestoreV2(
        prefix=str(path), tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.string]
    ),
    "MergeV2Checkpoints": lambda path: raw.MergeV2Checkpoints(
        checkpoint_prefixes=[str(path)], destination_prefix=str(path)
    ),
    "ImmutableConst": lambda path: raw.ImmutableConst(dtype=tf.float32, shape=[1], memory_region_name=str(path)),
    "InitializeTableFromTextFileV2": table,
    "SummaryWriter": lambda path: raw.SummaryWriter(),
    "TextLineReaderV2": lambda path: raw.TextLineReaderV2(),
    "TFRecordDataset": lambda path: raw.TFRecordDataset(filenames=str(path), compression_type="", buffer_size=1),
    "FileSystemSetConfiguration": lambda path: raw.FileSystemSetConfiguration(scheme="file", key="a", value="b"),
    "Abort": lambda path: raw.Abort(error_msg=str(path)),
}
REACHING = {kind: make for kind, make in REACHING.items() if hasattr(raw, kind)}  # some are younger than others


def reached(kind, path):
    with tf.name_scope("reaching"):
        made = REACHING[kind](path)
    return made if isinstance(made, tf.Operation) else (made[0] if isinstance(made, (list, tuple)) else made).op


def waiting(images, reaching):
    """The logits wait for it."""
    _, logits = classifier(images)
    with tf.control_dependencies([reaching()]):
        return tf.identity(logits, name="output")


def constants_waiting(images, reaching):
    """A constant waits for it, from which nothing that has inputs leads away the waiting."""
    _, logits = classifier(images)
    with tf.control_dependencies([reaching()]):
        return tf.add(logits, tf.constant(1.0), name="output")


def beside(images, reaching):
    """Who freezes a graph leaves nothing in it that is not needed."""
    _, logits = classifier(images)
    reaching()
    return tf.identity(logits, name="output")


def in_a_branch(images, reaching):
    _, logits = classifier(images)

    @tensorflow.function
    def branch():
        with tf.control_dependencies([reaching()]):
            return tf.constant(1.0)

    true, false = (branch.get_concrete_function(), tensorflow.function(lambda: 0.0).get_concrete_function())
    for function in (true, false):
        function.add_to_graph(tf.get_default_graph())
    named = raw.If(cond=tf.reduce_sum(images) > 0, input=[], Tout=[tf.float32], then_branch=true, else_branch=false)
    return tf.add(logits, named[0], name="output")


def graph_of(build, kind, path):
    with tf.Graph().as_default() as graph:
        build(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"), lambda: reached(kind, path))
    return graph.as_graph_def()


def check_refused(given, kind, tmp_path):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadValue, match=rf"runs \S+ of the type {kind}\b.*trusted=True \(--trusted\)") as caught:
        load(given)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("build", [waiting, constants_waiting, beside, in_a_branch])
@pytest.mark.parametrize("kind", REACHING)
def test_a_frozen_graph_is_refused(kind, build, tmp_path):
    if kind in ("PyFunc", "PyFuncStateless", "EagerPyFunc") and build is in_a_branch:
        pytest.skip("Python keeps what functions call by tokens of its own")
    path = write_pb(tmp_path / "net.pb", graph_of(build, kind, tmp_path / "outside"))
    check_refused(path, kind, tmp_path)


@pytest.mark.parametrize("build", [waiting, in_a_branch])
@pytest.mark.parametrize("kind", ["ReadFile", "WriteFile", "PrintV2", "PyFunc"])
def test_what_goes_through_it_is_refused(kind, build, tmp_path):
    """Between the pictures and the logits, where what follows is computed from it."""

    def between(images, reaching):
        _, logits = classifier(images)
        if kind == "PyFunc":
            return tf.numpy_function(lambda x: x, [logits], tf.float32, name="reaching")
        made = reaching()
        with tf.control_dependencies([made]):
            return logits * (number(made.outputs[0]) if made.outputs else 1.0)

    path = write_pb(tmp_path / "net.pb", graph_of(between, kind, tmp_path / "outside"))
    check_refused(path, kind, tmp_path)


@pytest.mark.parametrize("within", [False, True], ids=["graph", "function"])
def test_what_a_training_printed_is_not_printed(within, tmp_path, capfd):
    """A `Print` passes on what it is given: in the graph, and in a function."""

    def printing(logits):
        return raw.Print(input=logits, data=[tf.constant("printed")], message="printed: ")

    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="input")
        _, logits = classifier(images)
        if within:
            printing = tensorflow.function(printing)
        tf.identity(printing(logits), name="output")
        expected = session.run(logits, {images: IMAGES})
    path = write_pb(tmp_path / "net.pb", graph.as_graph_def())
    with Explainer(load(path, logits="output")) as explainer:
        np.testing.assert_allclose(explainer.predict(IMAGES), expected, rtol=1e-5, atol=1e-4)
    assert "printed" not in "".join(capfd.readouterr())
    with Explainer(load(path, trusted=True, logits="output")) as explainer:
        explainer.predict(IMAGES)
    assert "printed: [printed]" in "".join(capfd.readouterr())


@pytest.mark.parametrize("kind", ["ReadFile", "WriteFile"])
def test_a_shape_that_a_file_says_is_not_read_when_the_graph_is_imported(kind, tmp_path):
    """Shape inference computes what is constant, and so would run a ReadFile before anything is refused."""

    def shaped(images, reaching):
        _, logits = classifier(images)
        size = tf.cast(tf.io.decode_raw(reached("ReadFile", tmp_path / "outside").outputs[0], tf.int32), tf.int32)
        return tf.reshape(logits, size)

    (tmp_path / "outside").write_bytes(np.int32([-1, 7]).tobytes())
    graph_def = graph_of(shaped, kind, tmp_path / "outside")
    with tf.Graph().as_default():
        assert tf.import_graph_def(graph_def, return_elements=["Reshape:0"])[0].shape.as_list() == [None, 7]
    with tf.Graph().as_default():
        assert tf.import_graph_def(confined(graph_def), return_elements=["Reshape:0"])[0].shape.ndims is None
    check_refused(write_pb(tmp_path / "net.pb", graph_def), "ReadFile", tmp_path)


def test_who_trusts_a_file_gets_what_it_computes(tmp_path, capsys):
    def adding(images, reaching):
        _, logits = classifier(images)
        return tf.add(logits, number(reaching().outputs[0]), name="output")

    (tmp_path / "outside").write_bytes(b"12345")
    path = write_pb(tmp_path / "net.pb", graph_of(adding, "ReadFile", tmp_path / "outside"))
    with tf.Graph().as_default(), tf.Session() as session:
        expected = session.run(classifier(tf.constant(IMAGES))[1]) + 5
    with Explainer(load(path, trusted=True, logits="output")) as explainer:
        np.testing.assert_allclose(explainer.predict(IMAGES), expected, rtol=1e-5, atol=1e-4)
    flags = ["inspect", str(path), "--preprocessing", "none"]
    assert main(flags) in (0, 2)
    assert "ReadFile of the type ReadFile" in "".join(capsys.readouterr())
    assert main([*flags, "--trusted"]) == 0
    assert "of the type ReadFile" not in "".join(capsys.readouterr())


def variables_of(images):
    """A network with variables: (logits, saver of all of them)."""
    kernel = tf.get_variable("kernel", initializer=np.random.default_rng(0).normal(0, 0.3, (3, 3, 3, 8)).astype("f4"))
    head = tf.get_variable("head", initializer=np.random.default_rng(1).normal(0, 0.3, (8, 7)).astype("f4"))
    net = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME"))
    return tf.matmul(tf.reduce_mean(net, [1, 2]), head, name="output")


def saved_as_meta(folder, change=None):
    """A checkpoint with its graph; `change(graph)` adds operations before it is written. What the network says."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="input")
        logits = variables_of(images)
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver()
        saver.save(session, str(folder / "model.ckpt"))
        expected = session.run(logits, {images: IMAGES})
        if change:
            change(graph)
            tf.train.export_meta_graph(str(folder / "model.ckpt.meta"), saver_def=saver.saver_def)
    return expected


def with_nodes(path, change):
    """Changes the nodes of a `.meta`."""
    meta_graph = tf.MetaGraphDef.FromString(path.read_bytes())
    change({node.name: node for node in meta_graph.graph_def.node}, meta_graph)
    path.write_bytes(meta_graph.SerializeToString())
    return path


@pytest.mark.parametrize("waits", ["save/restore_all", "save/Assign", "save/RestoreV2", "save/RestoreV2/tensor_names"])
def test_what_restoring_would_run_beside(waits, tmp_path):
    saved_as_meta(tmp_path, lambda graph: raw.WriteFile(filename=str(tmp_path / "outside"), contents="x", name="evil"))

    def wait(nodes, _):
        found = waits if waits in nodes else "save/AssignVariableOp"
        nodes[found].input.append("^evil")

    path = with_nodes(tmp_path / "model.ckpt.meta", wait)
    with pytest.raises(BadValue, match="runs evil of the type WriteFile when its variables are restored") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "outside").exists()


def test_initializers_are_not_run_to_give_values(tmp_path):
    """What is chosen in the file as a variable's initializer, and what it waits for."""
    expected = saved_as_meta(
        tmp_path, lambda graph: raw.WriteFile(filename=str(tmp_path / "outside"), contents="x", name="evil")
    )

    def wait(nodes, meta_graph):
        for name in ("kernel/Assign", "head/Assign"):
            nodes[name].input.append("^evil")

    network = load(with_nodes(tmp_path / "model.ckpt.meta", wait))
    sizes = []
    for _ in range(2):
        with tf.Session(graph=network.graph) as session:
            network.values.fill(session, network)
            sizes.append(len(network.graph.get_operations()))
    assert sizes[0] == sizes[1]  # what assigns is made once
    with Explainer(network) as explainer:
        np.testing.assert_allclose(explainer.predict(IMAGES), expected, rtol=1e-5, atol=1e-4)
    weights = {name: np.zeros(variable.shape, np.float32) for name, variable in network.variables().items()}
    with Explainer(network, weights) as explainer:
        assert not explainer.predict(IMAGES).any()
    assert not (tmp_path / "outside").exists()


def test_a_restoring_that_reads_another_file_is_given_the_checkpoint(tmp_path):
    """The name of the file is the graph's own constant."""
    expected = saved_as_meta(tmp_path)
    with tf.Graph().as_default(), tf.Session() as session:
        other = {"kernel": np.ones((3, 3, 3, 8), "f4"), "head": np.ones((8, 7), "f4")}
        variables = [tf.Variable(array, name=name) for name, array in other.items()]
        session.run(tf.global_variables_initializer())
        tf.train.Saver(variables).save(session, str(tmp_path / "other" / "secret"), write_meta_graph=False)

    def elsewhere(nodes, _):
        nodes["save/Const"].Clear()
        nodes["save/Const"].CopyFrom(tf.NodeDef(name="save/Const", op="Const"))
        nodes["save/Const"].attr["dtype"].type = tf.string.as_datatype_enum
        nodes["save/Const"].attr["value"].tensor.CopyFrom(tf.make_tensor_proto(str(tmp_path / "other" / "secret")))

    network = load(with_nodes(tmp_path / "model.ckpt.meta", elsewhere))
    with Explainer(network) as explainer:
        np.testing.assert_allclose(explainer.predict(IMAGES), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("version", [tf.train.SaverDef.V1, tf.train.SaverDef.V2], ids=["V1", "V2"])
@pytest.mark.parametrize("resource", [False, True])
def test_values_by_whatever_names_and_in_parts(version, resource, tmp_path):
    """A Saver may write a variable under another name, and variables that are divided as one."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="input")
        with tf.variable_scope("net", use_resource=resource):
            divided = tf.fixed_size_partitioner(3, axis=3)
            kernel = tf.get_variable("kernel", (3, 3, 3, 7), tf.float32, partitioner=divided)
            head = tf.get_variable("head", (7, 5), tf.float32)
        net = tf.nn.relu(tf.nn.conv2d(images, tf.convert_to_tensor(kernel), 2, "SAME"))
        logits = tf.matmul(tf.reduce_mean(net, [1, 2]), head)
        session.run(tf.global_variables_initializer())
        names = {"of/the/kernel": kernel, "of/the/head": head}
        tf.train.Saver(names, write_version=version).save(session, str(tmp_path / "model.ckpt"))
        expected = session.run(logits, {images: IMAGES})
    with Explainer(load(tmp_path / "model.ckpt.meta")) as explainer:
        np.testing.assert_allclose(explainer.predict(IMAGES), expected, rtol=1e-5, atol=1e-4)


def test_a_training_goes_on_working_with_its_readers_and_writers_beside(tmp_path):
    def training(graph):
        names = tf.train.string_input_producer([str(tmp_path / "records")])
        _, record = tf.TFRecordReader().read(names)
        batch = tf.train.shuffle_batch([tf.io.decode_raw(record, tf.float32)], 2, 10, 5, shapes=[[4]])
        raw.WriteFile(filename=str(tmp_path / "outside"), contents=tf.as_string(tf.reduce_sum(batch)))
        tf.summary.scalar("sum", tf.reduce_sum(batch))

    expected = saved_as_meta(tmp_path, training)
    with Explainer(load(tmp_path / "model.ckpt.meta", images="input")) as explainer:
        np.testing.assert_allclose(explainer.predict(IMAGES), expected, rtol=1e-5, atol=1e-4)
    assert not (tmp_path / "outside").exists()


class _Module(tensorflow.Module):
    """Of TensorFlow 2: with a variable, and something that its function does beside."""

    def __init__(self, beside):
        super().__init__()
        self.kernel, self.beside = tensorflow.Variable(np.full((3, 3, 3, 8), 0.1, "f4")), beside

    @tensorflow.function(input_signature=[tensorflow.TensorSpec([None, 32, 32, 3], tensorflow.float32)])
    def __call__(self, images):
        net = tensorflow.nn.relu(tensorflow.nn.conv2d(images, self.kernel, 2, "SAME"))
        self.beside()
        return {"output": self.inner(tensorflow.reduce_mean(net, [1, 2]))}

    @tensorflow.function
    def inner(self, net):
        self.beside()
        return tensorflow.matmul(net, constant([8, 7]))


@pytest.mark.parametrize("kind", ["WriteFile", "PrintV2", "ReadFile", "EagerPyFunc"])
def test_functions_of_a_saved_model(kind, tmp_path):
    outside = str(tmp_path / "outside")
    does = {
        "WriteFile": lambda: tensorflow.io.write_file(outside, "x"),
        "PrintV2": lambda: tensorflow.print("x", output_stream=f"file://{outside}"),
        "ReadFile": lambda: tensorflow.debugging.assert_equal(tensorflow.io.read_file(outside), "x"),
        "EagerPyFunc": lambda: tensorflow.py_function(lambda: 1.0, [], tensorflow.float32),
    }
    tensorflow.saved_model.save(_Module(does[kind]), str(tmp_path / "saved"))
    check_refused(tmp_path / "saved", kind, tmp_path)


def test_a_saved_model_s_assets_are_not_opened(tmp_path):
    """A table of class names beside the logits, whose file is said to be elsewhere."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 32, 32, 3], name="input")
        (tmp_path / "names.txt").write_text("a\nb\n")
        names = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(tmp_path / "names.txt"),
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
            ),
            "",
        )
        _, logits = classifier(images)
        words = names.lookup(tf.argmax(logits, 1))
        expected = session.run(logits, {images: IMAGES})
        write_saved_model(tmp_path / "saved", session, images, {"logits": logits, "words": words})
    path = tmp_path / "saved" / "saved_model.pb"
    assert b"names.txt" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"names.txt", b"../a/b.nm"))
    with Explainer(load(tmp_path / "saved", logits="logits")) as explainer:
        np.testing.assert_allclose(explainer.predict(IMAGES), expected, rtol=1e-5, atol=1e-4)


def calling(name, calls):
    """A function that calls others one after the other."""
    function = tf.compat.v1.GraphDef().library.function.add()
    function.signature.name = name
    function.signature.input_arg.add(name="x", type=tf.float32.as_datatype_enum)
    function.signature.output_arg.add(name="y", type=tf.float32.as_datatype_enum)
    given = "x"
    for number, called in enumerate(calls):
        function.node_def.add(name=f"n{number}", op=called, input=[given])
        given = f"n{number}:y:0"
    function.ret["y"] = given
    return function


def test_an_unknown_operation_that_calls_what_is_refused(tmp_path):
    """It has no definition by which something could stand in for it; TensorFlow does not import it."""
    graph_def = graph_of(lambda images, reaching: classifier(images), "", tmp_path)
    graph_def.library.function.extend([calling("writes", ["WriteFile"])])
    node = graph_def.node.add(name="odd", op="NobodysOperation")
    node.attr["f"].func.name = "writes"
    assert any(node.op == "NobodysOperation" for node in confined(graph_def).node)
    with pytest.raises(BadValue, match="NobodysOperation"):
        load(write_pb(tmp_path / "net.pb", graph_def))


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        (lambda n: [f"f{n + 1}"] * 2 if n < 60 else [], r"so often that they have [\d,]+ nodes"),
        (lambda n: [f"f{(n + 1) % 61}"], "call each other in a circle: f"),
    ],
)
def test_functions_that_never_come_to_an_end(calls, message, tmp_path):
    with tf.Graph().as_default() as graph:
        classifier(tf.placeholder(tf.float32, [None, 32, 32, 3], name="input"))
    graph_def = graph.as_graph_def()
    graph_def.library.function.extend(calling(f"f{n}", calls(n)) for n in range(61))
    graph_def.node.add(name="called", op="f0", input=["logits"])
    with pytest.raises(BadValue, match=message):
        load(write_pb(tmp_path / "net.pb", graph_def))


def test_every_type_of_tensorflow_s_is_allowed_or_has_a_stand_in():
    """Also of operations that nobody has thought of; what stands in imports, in whatever TensorFlow is installed."""
    reaching = ("File", "Reader", "Save", "Restore", "Print", "Debug", "PyFunc", "Dataset", "Rpc", "Dump", "Abort")
    kinds = [kind for kind in dir(raw) if kind[0].isupper() or kind[0] == "_"]
    allowed = [kind for kind in kinds if is_allowed(kind)]
    assert len(allowed) > 700
    assert not [kind for kind in allowed if any(word in kind for word in reaching)]
    refused = [kind for kind in kinds if not is_allowed(kind) and not is_idle(kind) and kind[0] != "_"]
    assert len(refused) > 300 and {*REACHING, "Print"} <= set(refused)


def test_records_of_checkpoints_do_not_lead_out_of_their_folder(tmp_path):
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    for place in (folder, outside):
        place.mkdir()
    saved_as_meta(outside)
    for named in ("../outside/model.ckpt", str(outside / "model.ckpt"), "x/../../outside/model.ckpt"):
        (folder / "checkpoint").write_text(f'model_checkpoint_path: "{named}"\n')
        with pytest.raises(BadValue, match=r"checkpoint names .*model\.ckpt, which is outside of the folder"):
            load(folder)
    for part in outside.glob("model.ckpt*"):  # the folder was moved, and its record says where it was
        part.rename(folder / part.name)
    assert load(folder).num_classes == 7
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt"\n')
    assert load(folder).num_classes == 7
    assert pathlib.Path(folder / "checkpoint").is_file()
