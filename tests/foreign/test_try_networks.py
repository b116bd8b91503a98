"""`scripts/try_networks.py`: a line for every network of a folder."""

import json

import pytest
import tensorflow.compat.v1 as tf
import try_networks
from foreign import classifier, write_pb


def file_of(path, dtype=tf.float32):
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(dtype, [None, 32, 32, 3], name="input")
        classifier(tf.cast(images, tf.float32), classes=7)
        return write_pb(path, graph.as_graph_def())


def test_a_folder(tmp_path, capsys):
    folder = tmp_path / "networks"
    folder.mkdir()
    file_of(folder / "a_integers.pb", tf.uint8)  # which says its preprocessing itself
    file_of(folder / "b_floats.pb")
    (folder / "c_text.pb").write_text("no graph")
    (folder / "README.md").write_text("what these are")
    assert try_networks.main([str(folder), "--json", str(tmp_path / "found.json")]) is True
    printed = capsys.readouterr().out
    assert "2 of 3 explained, 1 of them from the path alone" in printed
    found = json.loads((tmp_path / "found.json").read_text())["networks"]
    assert [(row["network"], row["opened"], row["flags"]) for row in found] == [
        ("a_integers.pb", "yes", ""),
        ("b_floats.pb", "yes", "--preprocessing none"),
        ("c_text.pb", "refused", ""),
    ]
    assert "the graph takes integers" in found[0]["preprocessing"] and found[0]["layer"] == "Relu_1"
    assert "c_text.pb is not a frozen graph" in found[2]["reason"]


def test_an_error_of_our_own_is_not_hidden(tmp_path, monkeypatch, capsys):
    file_of(tmp_path / "a.pb")

    def fails(*args, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(try_networks.slim_models, "open_network", fails)
    assert try_networks.main([str(tmp_path)]) is False
    assert "ERROR" in (printed := capsys.readouterr().out) and "RuntimeError: a bug" in printed


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no networks in"):
        try_networks.main([str(tmp_path / "none")])
