"""Checkpoints that were made to do harm, their sums in order: one error, and neither time nor memory is taken."""

import struct
import time

import google_crc32c
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import slim_models
from slim_models.weights.table import blocks, entries, index_of, masked

ARRAYS = {"a/weights": np.random.default_rng(0).normal(size=(200, 7)).astype(np.float32), "b": np.int64(-7)}


def write(folder, version, divided=None):
    """A checkpoint with `ARRAYS`, and a variable in parts; its path, and that of the table that tells of them."""
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.Variable(array, name=name) for name, array in ARRAYS.items()]
        partitioner = tf.fixed_size_partitioner(3, axis=1)
        divided = tf.get_variable("divided", (4, 300, 2), tf.float32, partitioner=partitioner)
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver([*variables, *divided], write_version=version)
        saver.save(session, str(folder / "m.ckpt"), write_meta_graph=False, write_state=False)
        expected = {**ARRAYS, "divided": session.run(tf.convert_to_tensor(divided))}
    path = folder / "m.ckpt"
    return path, path if path.is_file() else folder / "m.ckpt.index", expected


def with_sums(content, places):
    """The table with sums that are those of what is in it."""
    content = bytearray(content)
    for offset, size in places:
        end = offset + size + 1
        content[end : end + 4] = struct.pack("<I", masked(google_crc32c.value(bytes(content[offset:end]))))
    return bytes(content)


VERSIONS = pytest.mark.parametrize("version", [tf.train.SaverDef.V1, tf.train.SaverDef.V2], ids=["V1", "V2"])


@VERSIONS
def test_variables_that_were_saved_in_parts(version, tmp_path):
    path, _, expected = write(tmp_path, version)
    read = slim_models.read_weights(path)
    assert read.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(read[name], array)
        assert not read[name].flags.writeable
    if version == tf.train.SaverDef.V2:  # a second way; of V1 TensorFlow reads no parts
        reader = tf.train.load_checkpoint(str(path))
        np.testing.assert_array_equal(reader.get_tensor("divided"), read["divided"])


@VERSIONS
def test_whatever_it_tells_with_the_right_sums(version, tmp_path):
    path, table, _ = write(tmp_path, version)
    whole = table.read_bytes()
    with table.open("rb") as file:
        places = [*blocks(file), index_of(file)]
    telling = [place for place in places if place[1] < 3000]
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            offset, size = telling[rng.integers(len(telling))]
            damaged[offset + rng.integers(size)] = rng.choice([0, 1, 2, 0x7F, 0x80, 0xFF])
        table.write_bytes(with_sums(damaged, places))
        began = time.monotonic()
        try:
            slim_models.read_weights(path)
        except (ValueError, FileNotFoundError) as error:
            assert "\n" not in str(error)
            refused += 1
        assert time.monotonic() - began < 10
    assert refused > 50


def changed(folder, name, field, value):
    """A V2 checkpoint in whose index a field of an entry, a number of as many bytes, is another."""
    path, table, _ = write(folder, tf.train.SaverDef.V2)
    content = bytearray(table.read_bytes())
    with table.open("rb") as file:
        places = [*blocks(file), index_of(file)]
    offset, size = places[0]
    start, length = next(p for key, p in entries(bytes(content[offset : offset + size])) if key == name.encode())
    place = content.index(field, offset + start, offset + start + length)
    content[place : place + len(field)] = value
    table.write_bytes(with_sums(content, places))
    return path


def test_a_shape_that_no_memory_holds(tmp_path):
    """Nothing is set aside for it before it is held against what is there."""
    shape = b"\x12\x03\x08\xc8\x01\x12\x02\x08\x07"  # [200, 7], and then [2**40] in as many bytes
    path = changed(tmp_path, "a/weights", shape, b"\x12\x07\x08\x80\x80\x80\x80\x80\x20")
    with pytest.raises(ValueError, match=r"a/weights \[1099511627776\] of float32 cannot be of 5600 bytes"):
        slim_models.read_weights(path)


def test_numbers_that_lie_where_those_of_another_are(tmp_path):
    path = changed(tmp_path, "b", b"\x20\xe0\x2b", b"\x20\x80\x00")  # offset 5600, and then 0
    with pytest.raises(ValueError, match="m.ckpt is a damaged checkpoint: the numbers of b are damaged: CRC-32C"):
        slim_models.read_weights(path)


def test_a_file_of_data_of_another_number_is_missing(tmp_path):
    path = changed(tmp_path, "b", b"\x20\xe0\x2b", b"\x18\xe0\x2b")  # offset, and then the number of the file
    with pytest.raises(FileNotFoundError, match=r"a part of .*m\.ckpt is missing: .*m\.ckpt\.data-05600-of-00001"):
        slim_models.read_weights(path)
