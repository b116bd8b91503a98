"""Damage of kinds that fuzzing found, one line each, with the name of the file; the command line ends with 2."""

import json
import zipfile

import foreign
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

import slim_models
from gradcam.cli.main import main
from gradcam.cli.predictions import write_predictions
from gradcam.evaluation.datasets import read_examples
from gradcam.evaluation.datasets.example import half_open
from gradcam.evaluation.journal import Journal
from gradcam.explainer import Explainer
from gradcam.pictures import read_heatmap, write_npz
from slim_models.files import parsed_json
from slim_models.labels import labels_for
from slim_models.loading.originals import check_types
from slim_models.loading.passes import array_of
from slim_models.loading.restoring import saved_in
from slim_models.mistakes import BadValue, Mistake
from slim_models.weights import verify

MADE = {"network": "x", "size": [8, 8], "fit": "stretch"}
DEEP = "[" * 100_000


def tiny(path, **members):
    """A zip of Tiny ImageNet with one picture, whose members can be others or none."""
    texts = {"wnids.txt": "n01440764", "val/val_annotations.txt": "a.JPEG\tn01440764\t0\t0\t9\t9\n", **members}
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in texts.items():
            if text is not None:
                archive.writestr(f"tiny-imagenet-200/{name}", text)
    return path


def pictured(folder, name="a.JPEG"):
    Image.new("RGB", (8, 8)).save(folder / name)
    return folder


def one_line(call, name):
    with pytest.raises(Mistake) as caught:
        call()
    assert name in str(caught.value)
    assert "\n" not in str(caught.value).strip()
    return str(caught.value)


class TestDataSets:
    def test_a_zip_without_its_list_or_its_picture(self, tmp_path):
        path = tiny(tmp_path / "tiny.zip", **{"val/val_annotations.txt": None})
        assert "no val/val_annotations.txt" in one_line(lambda: read_examples(path), "tiny.zip")
        (example,) = read_examples(tiny(tmp_path / "tiny.zip"))
        assert "no val/images/a.JPEG" in one_line(example.read, "tiny.zip")

    @pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"no picture"])
    def test_a_picture_in_a_zip_that_is_none(self, tmp_path, content):
        (example,) = read_examples(tiny(tmp_path / "tiny.zip", **{"val/images/a.JPEG": content}))
        assert "a.JPEG" in one_line(example.read, "tiny.zip")

    def test_a_list_in_a_zip_that_is_no_text(self, tmp_path):
        path = tiny(tmp_path / "tiny.zip", **{"val/val_annotations.txt": b"\xff\xfe"})
        assert "no text in UTF-8" in one_line(lambda: read_examples(path), "tiny.zip")

    @pytest.mark.parametrize("bits", [0b1, 0b100000])  # encrypted, patched
    def test_a_member_that_zipfile_does_not_read(self, tmp_path, bits):
        path = tiny(tmp_path / "tiny.zip")
        content = bytearray(path.read_bytes())
        for beginning, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
            start = content.find(beginning)
            while start >= 0:
                content[start + place] |= bits
                start = content.find(beginning, start + 4)
        path.write_bytes(content)
        one_line(lambda: read_examples(path), "tiny.zip")

    def test_an_encoding_that_there_is_not(self, tmp_path):
        (pictured(tmp_path) / "a.xml").write_text('<?xml version="1.0" encoding="utn-8"?><annotation/>')
        assert "unknown encoding" in one_line(lambda: read_examples(tmp_path), "a.xml")

    @pytest.mark.parametrize("side", ["inf", "1e999", "nan", "9" * 400])
    def test_a_box_without_an_end(self, tmp_path, side):
        row = f"ILSVRC2012_val_1,n01440764 1 2 {side} 4"
        (tmp_path / "LOC_val_solution.csv").write_text(f"ImageId,PredictionString\n{row}\n")
        pictured(tmp_path, "ILSVRC2012_val_1.JPEG")
        one_line(lambda: read_examples(tmp_path), "LOC_val_solution.csv:2")

    def test_a_field_that_is_too_long(self, tmp_path):
        rows = ["ImageId,PredictionString", "ILSVRC2012_val_1,n01440764 1 2 3 4", f"x,{'n01440764 1 2 3 4 ' * 9000}"]
        (tmp_path / "LOC_val_solution.csv").write_text("\n".join(rows))
        pictured(tmp_path, "ILSVRC2012_val_1.JPEG")
        assert "field larger" in one_line(lambda: read_examples(tmp_path), "LOC_val_solution.csv:3")

    @pytest.mark.parametrize("side", [10**400, float("nan"), float("inf")])
    def test_a_side_that_is_not_finite(self, side):
        with pytest.raises(ValueError, match="not finite"):
            half_open((0, 0), (side, 5))

    @pytest.mark.parametrize("name", ["/", "../a", "/etc/a", "a/b", "x" * 10_000])
    def test_a_list_of_voc_that_leads_out_of_its_folder(self, tmp_path, name):
        for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (tmp_path / folder).mkdir(parents=True)
        (tmp_path / "ImageSets" / "Main" / "test.txt").write_text(f"{name}\n")
        one_line(lambda: read_examples(tmp_path), "test.txt")


class TestTexts:
    def test_the_words_of_a_file_do_not_fill_pages(self):
        assert len(str(BadValue("a.npz: " + "x" * 100_000))) < 3000

    @pytest.mark.parametrize("text", ["{", "", DEEP, '{"a":' * 150 + "1" + "}" * 150, b"\xff", None])
    def test_what_is_no_json(self, text):
        with pytest.raises(ValueError, match=r"^it is (no )?JSON"):
            parsed_json(text, "it")

    def test_what_is(self):
        deep = [1, {"a": [[[[{"b": None}]]]]}]
        assert parsed_json(json.dumps(deep), "it") == deep

    def test_labels_that_are_too_deep(self, tmp_path):
        (tmp_path / "names.json").write_text(DEEP)
        one_line(lambda: labels_for(tmp_path / "names.json", 5), "names.json")

    def test_a_record_of_hashes_that_is_no_text(self, tmp_path):
        (tmp_path / "a.npy").write_bytes(b"a")
        (tmp_path / "a.npy.sha256").write_bytes(b"\xff" * 70)
        one_line(lambda: verify.checked(tmp_path / "a.npy", None, tmp_path / "a.npy.sha256"), "a.npy.sha256")

    @pytest.mark.parametrize(
        "row", [{"name": "b"}, {"name": "b", "iou": {"cam": "x"}}, {"name": "b", "iou": {}}, {"name": 1, "iou": None}]
    )
    def test_a_journal_whose_rows_are_of_another_form(self, tmp_path, row):
        path = tmp_path / "rows.jsonl"
        Journal(path, {}).append([{"name": "a", "iou": {"cam": None}}])
        Journal(path, {}).append([{"name": "b", "iou": {"cam": 0.5}}])  # null is as good as a number
        with path.open("a") as file:
            file.write(json.dumps([row]) + "\n")
        assert "another form" in one_line(lambda: Journal(path, {}), "rows.jsonl:4")

    @pytest.mark.parametrize("values", [(None, "123", None), ("123", None, "321"), ([], [[None, 1]], [[0.5, True]])])
    def test_null_stands_for_anything_and_is_learnt_from_what_comes_after(self, tmp_path, values):
        """As of a map that is blank: of MaxBoxAcc the others have a string. What follows is measured by all before."""
        path = tmp_path / "rows.jsonl"
        for name, value in zip("abc", values):
            Journal(path, {}).append([{"name": name, "of": {"cam": value}}])
        assert [row["of"]["cam"] for row in Journal(path, {}).rows] == list(values)
        other = [["no number"]] if isinstance(values[0], list) else 0.5
        with path.open("a") as file:
            file.write(json.dumps([{"name": "d", "of": {"cam": other}}]) + "\n")
        assert "another form" in one_line(lambda: Journal(path, {}), "rows.jsonl:5")

    @pytest.mark.parametrize("pictures", [None, 5, ["a"], [{"source": "a"}], {}])
    def test_a_table_of_predictions_that_is_none(self, tmp_path, pictures):
        (tmp_path / "a.json").write_text(json.dumps({"provenance": MADE, "pictures": pictures}))
        assert "remove it" in one_line(lambda: write_predictions(tmp_path / "a", [], MADE), "a.json")

    @pytest.mark.parametrize("change", [{"size": [8]}, {"size": [10**6, 10**6]}, {"size": "ab"}, {"fit": 5}])
    def test_a_map_of_no_picture(self, tmp_path, change):
        write_npz(tmp_path / "a.npz", {"cam": np.ones((2, 2), np.float32)}, {**MADE, **change})
        one_line(lambda: read_heatmap(tmp_path / "a.npz"), "a.npz")

    def test_a_map_without_numbers(self, tmp_path):
        write_npz(tmp_path / "a.npz", {"images": np.ones((2, 2), np.float32)}, MADE)
        one_line(lambda: read_heatmap(tmp_path / "a.npz"), "a.npz")


def written(folder, change):
    """A frozen graph, changed node by node."""
    with tf.Graph().as_default() as graph:
        foreign.classifier(tf.placeholder(tf.float32, [None, 16, 16, 3], name="images") / 255.0)
        graph_def = graph.as_graph_def()
    for node in graph_def.node:
        change(node)
    return foreign.write_pb(folder / "net.pb", graph_def)


def half(node):
    """A constant whose numbers end in the middle of one."""
    if node.op == "Const":
        node.attr["value"].tensor.tensor_content = b"\0" * 7


@pytest.fixture(scope="module")
def calling():
    """A graph that calls a function, each with a constant."""

    @tf.function
    def half(x):
        return x / tf.fill([1], 2.0)

    with tf.Graph().as_default() as graph, tf.control_dependencies(None):
        x = tf.placeholder(tf.float32, [None, 8, 8, 3], name="x")
        tf.identity(half(x) + tf.fill([1], 3.0), name="y")
    return graph.as_graph_def()


class TestTypes:
    """Which end TensorFlow's process where they are none, or others than those of the numbers."""

    @pytest.mark.parametrize("number", [None, 0, 40, 99])
    def test_one_that_is_none(self, calling, number):
        graph_def = tf.GraphDef.FromString(calling.SerializeToString())
        (node,) = (node for node in graph_def.node if node.op == "Placeholder")
        node.attr["dtype"].Clear()
        if number is not None:
            node.attr["dtype"].type = number
        with pytest.raises(BadValue, match="net is damaged: x has a dtype that is no type"):
            check_types(graph_def, "net")

    @pytest.mark.parametrize("kind", ["pb", "saved_model", "meta"])
    @pytest.mark.parametrize("in_function", [False, True])
    def test_a_constant_of_no_shape(self, calling, in_function, kind, tmp_path):
        graph_def = tf.GraphDef.FromString(calling.SerializeToString())
        nodes = graph_def.library.function[0].node_def if in_function else graph_def.node
        constant = next(node for node in nodes if node.op == "Const")
        constant.attr["value"].tensor.tensor_shape.dim.add().size = -1
        with pytest.raises(BadValue, match=f"is damaged: {constant.name} has a tensor of no shape"):
            slim_models.load(self.written(kind, graph_def, tmp_path))

    @pytest.mark.parametrize("in_function", [False, True])
    @pytest.mark.parametrize("kind", ["pb", "saved_model", "meta"])
    def test_a_constant_of_another(self, calling, in_function, kind, tmp_path):
        graph_def = tf.GraphDef.FromString(calling.SerializeToString())
        check_types(graph_def, "net")
        nodes = graph_def.library.function[0].node_def if in_function else graph_def.node
        constant = next(node for node in nodes if node.op == "Const" and node.attr["dtype"].type == tf.int32)
        constant.attr["value"].tensor.dtype = tf.float16.as_datatype_enum
        with pytest.raises(BadValue, match=f"is damaged: its constant '{constant.name}' has numbers of another type"):
            slim_models.load(self.written(kind, graph_def, tmp_path))

    def written(self, kind, graph_def, folder):
        meta_graph = tf.MetaGraphDef(graph_def=graph_def)
        if kind == "pb":
            return foreign.write_pb(folder / "net.pb", graph_def)
        if kind == "meta":
            (folder / "net.ckpt.meta").write_bytes(meta_graph.SerializeToString())
            (folder / "net.ckpt.index").write_bytes(b"")
            return folder / "net.ckpt.meta"
        meta_graph.meta_info_def.tags.append("serve")
        (folder / "saved_model.pb").write_bytes(
            saved_model_pb2.SavedModel(meta_graphs=[meta_graph]).SerializeToString()
        )
        return folder


class TestGraphs:
    @pytest.mark.parametrize(
        "change",
        [
            lambda node: node.op == "Const" and node.attr["value"].tensor.ClearField("dtype"),
            lambda node: node.op == "Const" and node.attr.pop("value", None),
            lambda node: (
                setattr(node.attr["value"].tensor, "tensor_content", b"\0" * 7) if node.op == "Const" else None
            ),
            lambda node: node.attr.pop("strides", None),
            lambda node: setattr(node, "name", ""),
            lambda node: node.input.append("nobody:7"),
            lambda node: node.op == "Placeholder" and setattr(node.attr["shape"].shape.dim[2], "size", 0),
            lambda node: node.op == "Placeholder" and setattr(node.attr["shape"].shape.dim[2], "size", 2**40),
        ],
        ids=[
            "no type",
            "no value",
            "half a number",
            "an attribute is missing",
            "no name",
            "an input is missing",
            "no width",
            "too wide",
        ],
    )
    def test_damage_that_a_parser_does_not_see(self, tmp_path, change):
        path = written(tmp_path, change)
        one_line(lambda: slim_models.load(path, preprocessing="none"), "net.pb")
        assert slim_models.inspect(path, preprocessing="none").problem

    def test_a_constant_with_fewer_numbers_than_its_shape(self, tmp_path):
        """Before anything is made of the graph."""

        def shortened(node):
            if node.op == "Const" and node.attr["value"].tensor.tensor_content:
                tensor = node.attr["value"].tensor
                tensor.tensor_content = tensor.tensor_content[:-4]

        with pytest.raises(BadValue, match=r"its constant '.+' has not the \d+ numbers of its shape"):
            slim_models.load(written(tmp_path, shortened))

    @pytest.mark.parametrize("number", [40, 127, 1000])
    def test_a_constant_of_a_type_that_there_is_not(self, number):
        node = tf.NodeDef(name="odd", op="Const")
        node.attr["value"].tensor.dtype = number
        one_line(lambda: array_of(node), "odd")

    @pytest.mark.parametrize("number", ["99999999999999999999", "1e9", "-"])
    def test_a_number_in_text_that_is_none(self, tmp_path, number):
        path = tmp_path / "net.pbtxt"
        shape = f"shape {{ dim {{ size: {number} }} }}"
        path.write_text(f'node {{ name: "x" op: "Placeholder" attr {{ key: "shape" value {{ {shape} }} }} }}')
        one_line(lambda: slim_models.load(path, preprocessing="none"), "net.pbtxt")

    @pytest.mark.parametrize(
        ("reads", "part"), [("kernel: ", ""), ("kernel:x", ""), ("kernel:0", "3 0,a"), ("k:9" * 9, "")]
    )
    def test_a_restoring_that_reads_what_cannot_be(self, reads, part):
        """As the graph of a SavedModel has it, whose variables are restored by names."""
        meta = tf.MetaGraphDef(saver_def={"restore_op_name": "restore"})
        node = meta.graph_def.node.add
        node(name="variable", op="VarHandleOp")
        for name, value in {"prefix": "", "keys": "kernel", "parts": part}.items():
            node(name=name, op="Const").attr["value"].tensor.CopyFrom(tf.make_tensor_proto([value]))
            meta.graph_def.node[-1].attr["dtype"].type = tf.string.as_datatype_enum
        node(name="kernel", op="RestoreV2", input=["prefix", "keys", "parts"])
        node(name="assign", op="AssignVariableOp", input=["variable", reads])
        node(name="restore", op="NoOp", input=["^assign"])
        try:
            saved_in(meta)
        except Mistake as mistake:
            assert "is no number" in str(mistake)
        else:
            assert reads == "k:9" * 9

    @pytest.mark.parametrize("kind", ["AssignVariableOp", "RestoreV2", "ReadVariableOp"])
    @pytest.mark.parametrize("count", [0, 1])
    def test_a_restoring_whose_inputs_are_missing(self, kind, count):
        meta = tf.MetaGraphDef(saver_def={"restore_op_name": "restore"})
        node = meta.graph_def.node.add
        node(name="variable", op="VarHandleOp")
        node(name="prefix", op="Const")
        node(name="read", op="ReadVariableOp", input=["variable"])
        node(name="kernel", op="RestoreV2", input=["prefix", "prefix", "prefix"])
        node(name="first", op="AssignVariableOp", input=["variable", "read"])
        node(name="assign", op="AssignVariableOp", input=["variable", "kernel"])
        node(name="restore", op="NoOp", input=["^assign", "^first"])
        for one in meta.graph_def.node:
            if one.op == kind:
                del one.input[count:]
        assert saved_in(meta) == {}

    def test_a_run_that_fails_is_told_with_the_operation(self, tmp_path, capsys):
        with tf.Graph().as_default() as graph:
            images = tf.placeholder(tf.float32, [None, 16, 16, 3], name="images")
            foreign.classifier(tf.debugging.check_numerics(tf.math.log(-1 - images), "what comes next", name="checked"))
            path = foreign.write_pb(tmp_path / "net.pb", graph.as_graph_def())
        with Explainer(slim_models.load(path, preprocessing="none")) as explainer:
            for call in (explainer.explain, explainer.predict):
                text = one_line(lambda call=call: call(np.full((1, 16, 16, 3), 100.0)), "net")
                assert "what comes next" in text
        Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
        flags = ["--network", str(path), "--preprocessing", "none", "--out", str(tmp_path / "out")]
        assert main(["explain", str(tmp_path / "a.png"), *flags]) == 2
        assert "what comes next" in capsys.readouterr().err

    def test_a_fault_of_ours_is_no_mistake_of_the_users(self, tmp_path):
        path = written(tmp_path, lambda node: None)

        def say(line):
            raise ZeroDivisionError(line)

        with pytest.raises(ZeroDivisionError):
            slim_models.load(path, preprocessing="none", say=say)


def test_the_command_line_ends_with_2(tmp_path, capsys):
    path = written(tmp_path, lambda node: node.attr.pop("strides", None))
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    assert main(["explain", str(tmp_path / "a.png"), "--network", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gradcam: ")
    assert error.count("\n") == 1
    assert "net.pb" in error
