"""Ordinary and hostile damage: seeded changes of bytes, texts, JSON, protobuf messages, zip archives and HDF5 files."""

import io
import json
import re
import struct
import warnings
import zipfile

import h5py
import numpy as np

_NUMBERS = (0, 1, 2, 7, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
_WORDS = (
    *("", "-1", "0", "1e999", "nan", "inf", "-inf", "99999999999999999999", "1.5", "٣", "²", "None", "null", "[]"),
    *("\0", "\ufeff", "é", "\u2028", "'", '"', "<", "&", "%s", "../..", "/", "\\", ",", ";", "\t", "\n", "{", "}"),
)
_VALUES = (None, True, -1, 0, 5, 10**30, 1e308, float("nan"), "", "x", "é\0", [], {}, [None], {"a": 1}, [[[[]]]])


def flip(random, content):
    """A few bits."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def poke(random, content):
    """A byte that is anything."""
    place = random.randrange(len(content))
    return content[:place] + bytes([random.choice((0, 255, random.randrange(256)))]) + content[place + 1 :]


def cut(random, content):
    """The end is missing."""
    return content[: random.randrange(len(content))]


def drop(random, content):
    """A piece in the middle is missing."""
    start, end = _piece(random, content)
    return content[:start] + content[end:]


def double(random, content):
    """A piece is there twice, or many times."""
    start, end = _piece(random, content)
    return content[:end] + content[start:end] * random.choice((1, 1, 50)) + content[end:]


def blank(random, content):
    """A piece is zeros, as of a disk that lost a sector."""
    start, end = _piece(random, content)
    return content[:start] + bytes(end - start) + content[end:]


def splice(random, content):
    """A piece is in another's place."""
    start, end = _piece(random, content)
    place = random.randrange(len(content))
    return content[:place] + content[start:end] + content[place + end - start :]


def insert(random, content):
    """Bytes that belong nowhere."""
    place = random.randrange(len(content))
    return content[:place] + random.randbytes(random.randint(1, 12)) + content[place:]


def number(random, content):
    """A number, such as a length, is another."""
    form = random.choice(["<B", "<H", ">H", "<I", "<I", ">I", "<Q", ">Q"])
    size = struct.calcsize(form)
    if len(content) <= size:
        return poke(random, content)
    place = random.randrange(len(content) - size)
    (was,) = struct.unpack_from(form, content, place)
    value = random.choice((*_NUMBERS, was + 1, was - 1, was * 2, len(content), len(content) - place))
    return content[:place] + struct.pack(form, value % 256**size) + content[place + size :]


def words(random, content):
    """A word or number of a text is another, is missing, or is there again."""
    parts = re.findall(r"\w+|\s+|[^\w\s]", content.decode("utf-8", "replace"))
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        place = random.randrange(len(parts)) if parts else 0
        new = random.choice(
            (*_WORDS, *random.choices(parts or ["x"], k=6), "x" * 200_000 if random.random() < 0.1 else "y")
        )
        parts[place : place + random.choice((0, 1, 1, 1, 3))] = [new]
    return "".join(parts).encode(random.choice(("utf-8",) * 8 + ("utf-16", "utf-8-sig")), "replace")


def lines(random, content):
    """A line of a text is missing, is there again, or in another place."""
    rows = content.splitlines(keepends=True) or [b""]
    row = rows.pop(random.randrange(len(rows)))
    for _ in range(random.choice((0, 1, 2))):
        rows.insert(random.randrange(len(rows) + 1), row)
    return b"".join(rows)


def tree(random, content):
    """JSON, still well formed: something in it is of another kind, missing, renamed, or very deep; or in a line."""
    rows = content.splitlines() or [b""]
    place = random.randrange(len(rows)) if _is_json(rows[0]) else None
    whole = content if place is None else rows[place]
    try:
        changed = json.dumps(_changed(random, json.loads(whole))).encode()
    except ValueError:
        return words(random, content)
    if random.random() < 0.02:
        changed = b"[" * 100_000 + changed
    return changed if place is None else b"\n".join([*rows[:place], changed, *rows[place + 1 :]]) + b"\n"


def _is_json(row):
    try:
        return isinstance(json.loads(row), (dict, list))
    except ValueError:
        return False


def _changed(random, value):
    """A copy with one change somewhere inside."""
    inner = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    if not inner or random.random() < 0.1:
        return random.choice(_VALUES)
    key = random.choice(list(inner))
    copy = value.copy()
    how = random.random()
    if how < 0.7:
        copy[key] = _changed(random, value[key])
    elif how < 0.8:
        del copy[key]
    elif how < 0.9:
        copy[key] = value[random.choice(list(inner))]
    elif isinstance(value, dict):
        copy[random.choice(("", "x", key + "_"))] = copy.pop(key)
    else:
        copy.insert(key, value[key])
    return copy


def message(of):
    """A protobuf message of that class, still well formed: a field in it is another, missing, or there again."""

    def change(random, content):
        whole = of.FromString(content)
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            _change_message(random, whole)
        return whole.SerializeToString()

    return change


def _change_message(random, whole):
    place = whole
    while True:  # down to a message whose field is changed
        fields = [(field, value) for field, value in place.ListFields() if field.name != "tensor_content"]
        if not fields:
            return
        field, value = random.choice(fields)
        values = value.values() if _is_map(field) else value if _repeated(field) else [value]
        inner = [one for one in values if hasattr(one, "ListFields")]
        if not inner or random.random() < 0.15:
            break
        place = random.choice(inner)
    if random.random() < 0.25:
        place.ClearField(field.name)
    elif _is_map(field):
        key = random.choice(sorted(value))
        if hasattr(value[key], "CopyFrom"):
            value[random.choice((key, key + "_"))].CopyFrom(value[random.choice(sorted(value))])
        del value[key]
    elif _repeated(field):
        _change_list(random, field, value)
    elif field.type != field.TYPE_MESSAGE:
        setattr(place, field.name, _other(random, field, value))


def _change_list(random, field, value):
    kept, at = list(value), random.randrange(len(value))
    how = random.random()
    if how < 0.3 or field.type == field.TYPE_MESSAGE:
        kept[at : at + 1] = random.choice(([], [kept[at]] * 2, [random.choice(kept)]))
    else:
        kept[at] = _other(random, field, kept[at])
    if field.type == field.TYPE_MESSAGE:
        copies = [type(one).FromString(one.SerializeToString()) for one in kept]
        del value[:]
        value.extend(copies)
    else:
        value[:] = kept


def _other(random, field, value):
    """Another value of a field that is no message."""
    if field.type == field.TYPE_BOOL:
        return not value
    if field.type == field.TYPE_ENUM:
        return random.choice(field.enum_type.values).number
    if field.type == field.TYPE_STRING:
        names = (
            "Identity",
            "Relu",
            "Reshape",
            "Placeholder",
            "Const",
            "x",
            "",
            ":",
            "^x",
            "é",
            value + ":1",
            value + ":9",
        )
        return random.choice(names)
    if field.type == field.TYPE_BYTES:
        return random.choice((b"", b"NCHW", b"\xff\xfe", b"SAME", flip(random, value) if value else b"x"))
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return random.choice((0.0, -1.0, 1e30, float("nan"), float("inf")))
    low, high = {1: (-(2**31), 2**31), 2: (-(2**63), 2**63), 3: (0, 2**32), 4: (0, 2**64)}[field.cpp_type]
    return min(max(random.choice((-2, -1, 0, 1, 3, 10**6, 2**31, 2**62, value + 1)), low), high - 1)


def _repeated(field):
    return field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def _is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def member(*changes, of=""):
    """A zip archive with right sums of which one member is damaged; `of`: what its name ends in."""

    def change(random, content):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {info: archive.read(info) for info in archive.infolist()}
        chosen = random.choice([info for info in members if info.filename.endswith(of) and members[info]])
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for info, data in members.items():
                archive.writestr(info.filename, random.choice(changes)(random, data) if info is chosen else data)
        return file.getvalue()

    return change


def array(random, content):
    """An npy file with an array of another shape, of another type, or with numbers that are none."""
    found = np.load(io.BytesIO(content))
    changes = (
        lambda: found[None],
        lambda: found[:0],
        lambda: found[..., :1],
        lambda: found.T,
        lambda: found.reshape(-1),
        lambda: np.concatenate([found, found], axis=-1) if found.ndim else found,
        lambda: found.astype(random.choice(("f8", "f2", "i1", "u8", "?", "U3", "c8", ">f4", "S2"))),
        lambda: np.full_like(found, random.choice((-1, 0, 100))),
        lambda: np.where(np.arange(found.size).reshape(found.shape) == 0, random.choice((np.nan, np.inf)), found),
        lambda: np.float32(1),
    )
    file = io.BytesIO()
    with warnings.catch_warnings():  # of numbers that the other type does not hold
        warnings.simplefilter("ignore")
        np.save(file, random.choice(changes)())
    return file.getvalue()


def attribute(name, *changes):
    """An HDF5 file of which an attribute of the root, a text, is damaged."""

    def change(random, content):
        file = io.BytesIO(content)
        with h5py.File(file, "r+") as opened:
            text = opened.attrs[name]
            text = text if isinstance(text, bytes) else str(text).encode()
            opened.attrs[name] = random.choice(changes)(random, text).decode("utf-8", "replace").replace("\0", " ")
        return file.getvalue()

    change.comes_first = True  # of what is damaged already HDF5's own library could end, or never end
    return change


def _piece(random, content):
    start = random.randrange(len(content))
    return start, min(len(content), start + random.choice((1, 4, 16, 64, 512, random.randint(1, len(content)))))


BYTES = (flip, flip, poke, cut, drop, double, blank, splice, insert, number, number)
TEXT = (words, words, words, lines, flip, cut, insert, splice, blank)
JSON = (tree, tree, *TEXT)


def mutated(random, content, changes):
    """A file's content with one to three changes."""
    chosen = [random.choice(changes) for _ in range(random.choice((1, 1, 1, 2, 3)))]
    for change in sorted(chosen, key=lambda change: not hasattr(change, "comes_first")):
        try:
            content = change(random, content)
        except Exception:  # of a structure that the change before has broken
            content = flip(random, content)
        if not content:
            break
    return content
