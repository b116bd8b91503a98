"""Everything of the project's that reads what others wrote: small whole files for each reader, and what it is to read.

A reader gives names and values (arrays, mostly), so that these can be looked at; what it cannot read it refuses as a
mistake of the user's. Whatever else it does is a fault of ours.
"""

import functools
import io
import json
import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import formats
import numpy as np
import torch_files
from PIL import Image

from fuzzing import mutations
from fuzzing.mutations import BYTES, JSON, TEXT

Values = Mapping[str, Any]


class Reader(NamedTuple):
    """What reads files of others.

    Attributes:
        files: of which one is damaged, and how.
        write: writes these and what belongs to them into an empty folder.
        read: reads what is in a folder.
        sums: whether the format has a sum of every value, so that those of a damaged file are the same or refused.
        apart: whether libraries of C or C++ read it, which can end a process or keep it for ever.
        called: what a refusal may call the file beside its name.
        cases: how many the tests try: to load a network takes a hundred times as long as to read a file.
    """

    files: Mapping[str, tuple]
    write: Callable[[pathlib.Path], Any]
    read: Callable[[pathlib.Path], Values]
    sums: bool = False
    apart: bool = False
    called: str = ""
    cases: int = 200


_RANDOM = np.random.default_rng(0)
ARRAYS = {
    "a/weights": _RANDOM.normal(size=(3, 3, 3, 4)).astype(np.float32),
    "a/biases": _RANDOM.normal(size=4).astype(np.float32),
    "b/weights": _RANDOM.normal(size=(4, 40)).astype(np.float32),
}
WNIDS = ("n01440764", "n01443537", "n01484850")
PIXELS = _RANDOM.integers(0, 256, (48, 64, 3), np.uint8)


def picture(suffix=".JPEG", array=PIXELS, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, Image.registered_extensions()[suffix.lower()], **options)
    return file.getvalue()


# Weights


def weights(name):
    def read(folder):
        from slim_models.weights import read_weights

        return read_weights(folder / name)

    return read


def write_npy(folder):
    from slim_models.weights import write_weights

    write_weights(folder / "net.npy", ARRAYS)


def write_checkpoint(version, folder):
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.Variable(array, name=name) for name, array in ARRAYS.items()]
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(variables, write_version=version, save_relative_paths=True)
        saver.save(session, str(folder / "net.ckpt"), write_meta_graph=False, write_state=version == 2)


def write_caffemodel(folder):
    blobs = [array.transpose(3, 2, 0, 1) if array.ndim == 4 else array for array in ARRAYS.values()]
    layers = {"conv1_1": ("Convolution", blobs[:2]), "fc": ("InnerProduct", [blobs[2].T])}
    formats.write_caffemodel(folder / "net.caffemodel", layers)
    formats.write_caffemodel(folder / "old.caffemodel", layers, version=1, legacy_shapes=True)


def read_caffemodels(folder):
    return {**weights("net.caffemodel")(folder), **weights("old.caffemodel")(folder)}


def write_keras_weights(folder):
    names = [
        f"block{block}_conv{layer}" for block, count in enumerate((2, 2, 3, 3, 3), 1) for layer in range(1, count + 1)
    ]
    kernel, bias = ARRAYS["a/weights"][..., :3], ARRAYS["a/biases"][:3]
    layers = dict.fromkeys(names, (kernel, bias))
    layers |= dict.fromkeys(("fc1", "fc2", "predictions"), (ARRAYS["b/weights"][:3, :3], bias))
    formats.write_keras(folder / "net.h5", layers)


def write_safetensors(folder):
    import safetensors.numpy

    safetensors.numpy.save_file(ARRAYS, folder / "net.safetensors")


def write_tgz(folder):
    np.savez(folder / "weights.npz", **ARRAYS)
    with tarfile.open(folder / "net.tar.gz", "w:gz") as archive:
        archive.add(folder / "weights.npz", "sub/weights.npz")
    (folder / "weights.npz").unlink()


def read_tgz(folder):
    from slim_models.downloading import FAILURES
    from slim_models.mistakes import BadValue
    from slim_models.weights import read_weights, verify

    try:
        return read_weights(verify.unpacked(folder / "net.tar.gz", "weights.npz"))
    except FAILURES as error:  # told by the name of the source
        raise BadValue(f"net.tar.gz: {error}") from error


# Networks


def constant_graph():
    """A small classifier of constants."""
    import foreign
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [None, 16, 16, 3], name="images")
        foreign.classifier(images / 255.0 - 0.5)
        return graph.as_graph_def()


def explained(folder, name):
    """What a network says of a picture, as somebody who loads it sees it."""
    import slim_models
    from gradcam.explainer import Explainer

    network = slim_models.load(folder / name, preprocessing="none")
    with Explainer(network) as explainer:
        explanation = explainer.explain(np.full((1, *network.image_size, network.channels), 100), 0)
    return {"logits": explanation.logits, "heatmap": explanation._heatmap(), **explanation.saliency}


def inspected(folder, name):
    """As `gradcam inspect` tells it."""
    import slim_models
    from gradcam.cli.inspection import as_text

    result = slim_models.inspect(folder / name, preprocessing="none")
    as_text(result)
    return {}


def loaded(name):
    """Three of four are explained, the others inspected; which, is by what they hold."""

    def read(folder):
        content = b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
        return explained(folder, name) if zlib.crc32(content) % 4 else inspected(folder, name)

    return read


def write_frozen(folder):
    (folder / "net.pb").write_bytes(constant_graph().SerializeToString())


def decoding_graph():
    """A classifier of files in base64, a batch of which a loop decodes; channels first, with batch norm and dropout."""
    import foreign
    import tensorflow.compat.v1 as tf

    def pixels(file):
        return tf.image.resize_images(tf.image.decode_jpeg(tf.io.decode_base64(file), channels=3), [16, 16]) / 255

    with tf.Graph().as_default() as graph:
        files = tf.placeholder(tf.string, [None], name="files")
        net = tf.transpose(tf.map_fn(pixels, files, dtype=tf.float32), [0, 3, 1, 2])
        kernel, scale = foreign.constant([3, 3, 3, 4]), foreign.constant([4], 1)
        net = tf.nn.conv2d(net, kernel, [1, 1, 2, 2], "SAME", data_format="NCHW")
        norm = [scale, scale, scale, tf.abs(scale)]
        net = tf.nn.relu6(
            tf.raw_ops.FusedBatchNormV3(
                x=net,
                scale=norm[0],
                offset=norm[1],
                mean=norm[2],
                variance=norm[3],
                data_format="NCHW",
                is_training=False,
            ).y
        )
        net = tf.nn.dropout(tf.reduce_mean(net, [2, 3]), tf.placeholder_with_default(1.0, []))
        tf.nn.sigmoid(tf.matmul(net, foreign.constant([4, 1], 2)), name="output")
        return graph.as_graph_def()


def write_decoding_graph(folder):
    (folder / "net.pb").write_bytes(decoding_graph().SerializeToString())


def write_text_graph(folder):
    from google.protobuf import text_format

    (folder / "net.pbtxt").write_text(text_format.MessageToString(constant_graph()))


def variable_graph(session):
    """A small classifier of variables: its pictures and logits."""
    import tensorflow.compat.v1 as tf

    images = tf.placeholder(tf.float32, [None, 16, 16, 3], name="images")
    kernel, bias = (tf.Variable(ARRAYS[name], name=name) for name in ("a/weights", "a/biases"))
    net = tf.nn.relu(tf.nn.conv2d(images / 255.0 - 0.5, kernel, 2, "SAME") + bias)
    logits = tf.matmul(tf.reduce_mean(net, [1, 2]), tf.Variable(ARRAYS["b/weights"], name="b/weights"))
    session.run(tf.global_variables_initializer())
    return images, logits, tf.nn.softmax(logits, name="probabilities")


def write_saved_model(folder):
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        images, _, probabilities = variable_graph(session)
        tf.saved_model.simple_save(session, str(folder / "model"), {"images": images}, {"scores": probabilities})


def write_saved_model_of_2(folder):
    """With functions, a resource variable and a signature."""
    import tensorflow

    with tensorflow.__internal__.eager_context.eager_mode():
        module = tensorflow.Module()
        module.kernel = tensorflow.Variable(ARRAYS["a/weights"])
        module.head = tensorflow.Variable(ARRAYS["b/weights"])

        @tensorflow.function(input_signature=[tensorflow.TensorSpec([None, 16, 16, 3], name="images")])
        def call(images):
            net = tensorflow.nn.relu(tensorflow.nn.conv2d(images, module.kernel, 2, "SAME"))
            logits = tensorflow.matmul(tensorflow.reduce_mean(net, [1, 2]), module.head)
            return {"scores": tensorflow.nn.softmax(logits)}

        module.call = call
        tensorflow.saved_model.save(module, str(folder / "model"), signatures=call)


def write_meta(folder):
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        variable_graph(session)
        tf.train.Saver(save_relative_paths=True).save(session, str(folder / "net.ckpt"))


def keras_model():
    import tensorflow

    tensorflow.keras.utils.set_random_seed(0)  # so that a case is the same again
    layers = tensorflow.keras.layers
    images = layers.Input((16, 16, 3))
    net = layers.Conv2D(4, 3, activation="relu")(images)
    net = layers.BatchNormalization()(net)
    net = layers.GlobalAveragePooling2D()(layers.Activation("relu")(net))
    return tensorflow.keras.Model(images, layers.Dense(5, activation="softmax")(net))


def write_keras(name, folder):
    import warnings

    with warnings.catch_warnings():  # Keras' own, of its old format
        warnings.simplefilter("ignore")
        keras_model().save(folder / name)


def write_old_keras(folder):
    """As Keras 2 wrote it, which is built by us."""
    from old_keras import functional, old, start, write_old

    layers = [
        start(16),
        old("Conv2D", "conv", [["images"]], filters=4, kernel_size=[3, 3], strides=[2, 2], padding="same"),
        old("BatchNormalization", "norm", [["conv"]], axis=[3], epsilon=0.001, momentum=0.99, scale=True, center=True),
        old("Activation", "relu", [["norm"]], activation="relu"),
        old("GlobalAveragePooling2D", "mean", [["relu"]], data_format="channels_last"),
        old("Dense", "head", [["mean"]], units=40, activation="softmax", use_bias=False),
    ]
    norm = {f"norm/{name}:0": ARRAYS["a/biases"] ** 2 for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    weights = {
        "images": {},
        "conv": {"conv/kernel:0": ARRAYS["a/weights"], "conv/bias:0": ARRAYS["a/biases"]},
        "norm": norm,
        "relu": {},
        "mean": {},
        "head": {"head/kernel:0": ARRAYS["b/weights"]},
    }
    write_old(folder / "net.h5", functional("model", layers, "head"), weights)


# Pictures


def write_pictures(folder):
    for suffix in (".jpg", ".png", ".webp", ".bmp", ".tif", ".gif"):
        (folder / f"net{suffix}").write_bytes(picture(suffix))
    (folder / "grey.png").write_bytes(picture(".png", PIXELS[..., 0].astype(np.uint16) * 257))
    (folder / "packed.tif").write_bytes(picture(".tif", compression="tiff_lzw"))


def read_pictures(folder):
    from gradcam.pictures import read_photograph

    return {path.name: read_photograph(str(path)).pixels for path in sorted(folder.iterdir()) if damaged(path)}


def damaged(path):
    """Whether a file is not as it was written: only that one is read."""
    return path.name == (path.parent / ".damaged").read_text() if (path.parent / ".damaged").is_file() else True


def write_arrays(folder):
    np.save(folder / "net.npy", PIXELS)
    np.save(folder / "several.npy", np.stack([PIXELS, PIXELS]).astype(np.float32))
    Image.fromarray(PIXELS[..., 0]).save(
        folder / "pages.tif", save_all=True, append_images=[Image.fromarray(PIXELS[..., 1])]
    )


def read_arrays(folder):
    from gradcam.pictures import expand, read_photograph

    found = {}
    for path in sorted(folder.iterdir()):
        if damaged(path):
            for source in expand([str(path)]):
                channels = 2 if path.suffix == ".tif" else None
                found[pathlib.Path(source).name] = read_photograph(source, channels=channels).pixels
    return found


MADE = {"network": "x", "size": [48, 64], "fit": "stretch", "target": 1}


def write_maps(folder):
    from gradcam.pictures import write_npz, write_picture

    write_npz(folder / "net.npz", {"cam": np.float32([[0, 1], [2, 3]])}, MADE)
    for name in ("net.png", "net.jpg", "net.webp"):
        write_picture(folder / name, PIXELS, MADE)
    (folder / "net.json").write_text(json.dumps({"provenance": MADE}))


def read_maps(folder):
    from gradcam.pictures import read_heatmap, read_provenance

    found = {}
    for path in sorted(folder.iterdir()):
        if damaged(path):
            found[path.name] = read_provenance(path)
            if path.suffix == ".npz":
                found["heatmap"] = read_heatmap(path)
    return found


# Data sets


def examples(*arguments, **options):
    def read(folder):
        from gradcam.evaluation.datasets import read_examples

        found = read_examples(folder.joinpath(*arguments), **{key: folder / name for key, name in options.items()})
        values = {f"{one.name} boxes": np.array(one.boxes, np.float64) for one in found}
        masks = {f"{one.name} mask": one.mask() for one in found if one.mask}
        return {**values, **masks, **{one.name: one.read() for one in found[:2]}}

    return read


def write_tiny(folder):
    rows = [f"val_{n}.JPEG\t{wnid}\t{n}\t1\t40\t41\n" for n, wnid in enumerate(WNIDS)]
    with zipfile.ZipFile(folder / "tiny.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny-imagenet-200/wnids.txt", "\n".join(WNIDS))
        archive.writestr("tiny-imagenet-200/val/val_annotations.txt", "".join(rows))
        for number in range(len(rows)):
            archive.writestr(f"tiny-imagenet-200/val/images/val_{number}.JPEG", picture())


def write_listed(folder):
    (folder / "net.jpg").write_bytes(picture())
    (folder / "b.png").write_bytes(picture(".png"))
    rows = ["path,class,boxes", "net.jpg,tabby,1 2 30 40", f'b.png,{WNIDS[0]},"0 0 5 5; 1.5 2 9 9"', "net.jpg,3,"]
    (folder / "net.csv").write_text("\n".join(rows))


def write_ilsvrc(folder):
    for number in range(len(WNIDS)):
        (folder / f"ILSVRC2012_val_0000000{number}.JPEG").write_bytes(picture())


def write_kaggle(folder):
    write_ilsvrc(folder)
    rows = [f"ILSVRC2012_val_0000000{n},{wnid} 1 2 30 40 {wnid} 3 4 9 9" for n, wnid in enumerate(WNIDS)]
    (folder / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows]))


def write_caffe_list(folder):
    write_ilsvrc(folder)
    (folder / "val.txt").write_text(
        "".join(f"ILSVRC2012_val_0000000{n}.JPEG {n * 7 + 65}\n" for n in range(len(WNIDS)))
    )


def write_devkit(folder):
    import scipy.io

    write_ilsvrc(folder)
    data = folder / "devkit" / "data"
    data.mkdir(parents=True)
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n1\n3\n")
    records = np.empty((len(WNIDS), 1), [("ILSVRC2012_ID", object), ("WNID", object), ("words", object)])
    for number, wnid in enumerate(WNIDS):
        records[number, 0] = (float(number + 1), wnid, "some words")
    for name, packed in (("meta.mat", True), ("plain.mat", False)):
        scipy.io.savemat(data / name, {"synsets": records}, do_compression=packed)
    (data / "plain.mat").rename(folder / "devkit" / "meta.mat")


def write_devkit_text(folder):
    write_ilsvrc(folder)
    (folder / "truth.txt").write_text("2\n1\n3\n")
    (folder / "map_clsloc.txt").write_text("".join(f"{wnid} {n} a_word\n" for n, wnid in enumerate(WNIDS, 1)))


def write_xml(folder):
    write_ilsvrc(folder)
    for number, wnid in enumerate(WNIDS):
        sides = "".join(
            f"<{side}>{value}</{side}>" for side, value in (("xmin", 1), ("ymin", 2), ("xmax", 30), ("ymax", 40))
        )
        thing = f"<object><name>{wnid}</name><bndbox>{sides}</bndbox></object>"
        (folder / f"ILSVRC2012_val_0000000{number}.xml").write_text(
            f'<?xml version="1.0" encoding="utf-8"?>\n<annotation><filename>a</filename><size><width>64</width>'
            f"<height>48</height></size>{thing}{thing}</annotation>"
        )


def write_voc(folder):
    for place in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / place).mkdir(parents=True)
    things = "".join(
        f"<object><name>{name}</name><difficult>{n % 2}</difficult><bndbox><xmin>{1 + n}</xmin><ymin>2</ymin>"
        f"<xmax>30</xmax><ymax>{40 - n}</ymax></bndbox></object>"
        for n, name in enumerate(("dog", "dog", "person", "cat"))
    )
    for name in ("000001", "000002"):
        (folder / "JPEGImages" / f"{name}.jpg").write_bytes(picture())
        (folder / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><size><width>64</width><height>48</height></size>{things}</annotation>"
        )
    (folder / "ImageSets" / "Main" / "test.txt").write_text("000001\n000002\n")


def write_coco(folder):
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in (3, 7)]
    for image in images:
        (folder / image["file_name"]).write_bytes(picture())
    polygon, runs = [[1, 2, 30, 2, 30, 40, 1, 40]], {"counts": [48, 5, 3019], "size": [48, 64]}
    annotations = [
        {"id": n, "image_id": image, "category_id": 1 + n % 2, "bbox": [1, 2, 29.5, 38], "segmentation": outline}
        for n, (image, outline) in enumerate([(3, polygon), (3, runs), (7, polygon), (7, polygon)])
    ]
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances_val2014.json").write_text(json.dumps(content))


# Runs, references and lists of classes


def write_journal(folder):
    from gradcam.evaluation.journal import Journal

    journal = Journal(folder / "net.jsonl", {"network": "x", "batch": 2})
    for first in (0, 2, 4):
        journal.append([{"name": f"p{n}", "top1": 0.5, "error": n} for n in (first, first + 1)])


def read_journal(folder):
    from gradcam.evaluation.journal import Journal

    journal = Journal(folder / "net.jsonl", {"network": "x", "batch": 2})
    journal.append([{"name": "more"}])
    return {str(number): row for number, row in enumerate(journal.rows)}


def reference_arrays():
    rng = np.random.default_rng(1)
    shapes = {"logits": (1, 5), "conv5_3": (1, 3, 3, 4), "grad_conv5_3": (1, 2, 3, 3, 4), "cam": (1, 2, 3, 3)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return {"images": PIXELS[None, :48, :48], "classes": np.array([[1, 2]]), **arrays}


def write_reference(folder):
    np.savez(folder / "net.npz", **reference_arrays())


def read_reference(folder):
    from gradcam.comparison.references import quantities, read_reference as read

    reference = read(folder / "net.npz", "tensorflow", "BGR")
    named = quantities(list(reference.arrays), ["conv5_3"], "conv5_3", None)
    of = {one.name: reference.of(one, 0, number) for one in named for number in range(reference.classes.shape[1])}
    return {"images": reference.images, **{name: array for name, array in of.items() if array is not None}}


def table_row(number):
    row = {"source": f"{number}.jpg", "source_sha256": str(number), "files": ["net.png"]}
    told = [{"index": 1, "class": "cat", "probability": 0.5}]
    return {**row, "predicted": told, "explained": told}


def write_table(folder):
    from gradcam.cli.predictions import write_predictions

    write_predictions(folder / "net", [table_row(1), table_row(2)], MADE)


def read_table(folder):
    """What a second run makes of the table of the first."""
    from gradcam.cli.predictions import write_predictions

    write_predictions(folder / "net", [table_row(2), table_row(3)], MADE)
    return {row["source"]: row for row in json.loads((folder / "net.json").read_text())["pictures"]}


def write_labels(folder):
    (folder / "net.txt").write_text("".join(f"{n} class number {n}\n" for n in range(5)))
    (folder / "wnids.txt").write_text("".join(f"{wnid}\tcat, dog\n" for wnid in (*WNIDS, *WNIDS[:2])))
    (folder / "net.json").write_text(json.dumps({str(n): ["n0", f"name {n}"] for n in range(5)}))


def read_labels(folder):
    from slim_models.labels import labels_for

    return {
        path.name: [labels_for(path, 5).name(n) for n in range(5)] for path in sorted(folder.iterdir()) if damaged(path)
    }


def write_record(folder):
    (folder / "file").write_bytes(b"abc")
    (folder / "file.sha256").write_text(f"{'0' * 64}  other\n{'1' * 64} *another\n")


def read_record(folder):
    from slim_models.weights import verify

    verify.record(folder / "file", folder / "file.sha256")
    return {"checked": verify.checked(folder / "file", None, folder / "file.sha256")}


def graph_messages(name):
    """Changes of a graph's file that leave it a message."""

    def change(random, content):
        import tensorflow.compat.v1 as tf
        from tensorflow.core.protobuf import saved_model_pb2

        of = {"graph": tf.GraphDef, "meta": tf.MetaGraphDef, "saved model": saved_model_pb2.SavedModel}[name]
        return mutations.message(of)(random, content)

    return change


def _of_message(name):
    change = graph_messages(name)
    return (change,) * 12 + BYTES[:6]


_NPY = mutations.member(*(mutations.array,) * 10, mutations.words, *BYTES)
_CONFIG = mutations.member(*JSON, of="config.json")
_INNER = mutations.member(*BYTES)
_PICTURES = ("net.jpg", "net.png", "net.webp", "net.bmp", "net.tif", "net.gif", "grey.png", "packed.tif")
_LISTS = {"ILSVRC2012_val_00000000.JPEG": BYTES}


def of_network(files, write, name):
    """Of which a case is a whole explanation: so they are few, and in a process that may die."""
    return Reader(files, write, loaded(name), apart=True, cases=25)


READERS = {
    "npy": Reader({"net.npy": BYTES}, write_npy, weights("net.npy")),
    "npz": Reader(
        {"net.npz": BYTES}, lambda folder: np.savez(folder / "net.npz", **ARRAYS), weights("net.npz"), sums=True
    ),
    "npz, summed": Reader(
        {"net.npz": (_NPY,)}, lambda folder: np.savez(folder / "net.npz", **ARRAYS), weights("net.npz")
    ),
    "caffemodel": Reader({"net.caffemodel": BYTES, "old.caffemodel": BYTES}, write_caffemodel, read_caffemodels),
    "pth": Reader(
        {"net.pth": BYTES},
        lambda folder: torch_files.write_zip(folder / "net.pth", torch_files.state_dict(ARRAYS)),
        weights("net.pth"),
        sums=True,
    ),
    "pth, summed": Reader(
        {"net.pth": (_INNER,)},
        lambda folder: torch_files.write_zip(folder / "net.pth", torch_files.state_dict(ARRAYS)),
        weights("net.pth"),
    ),
    "pth of old": Reader(
        {"net.pt": BYTES},
        lambda folder: torch_files.write_old(folder / "net.pt", torch_files.state_dict(ARRAYS)),
        weights("net.pt"),
    ),
    "safetensors": Reader(
        {"net.safetensors": (*BYTES, *TEXT)}, write_safetensors, weights("net.safetensors"), apart=True
    ),
    "tgz": Reader({"net.tar.gz": BYTES}, write_tgz, read_tgz, sums=True),
    "Keras' weights": Reader({"net.h5": BYTES}, write_keras_weights, weights("net.h5"), apart=True),
    "checkpoint V1": Reader(
        {"net.ckpt": BYTES}, functools.partial(write_checkpoint, 1), weights("net.ckpt"), sums=True, apart=True
    ),
    "checkpoint V2": Reader(
        {"net.ckpt.index": BYTES, "net.ckpt.data-00000-of-00001": BYTES, "checkpoint": TEXT},
        functools.partial(write_checkpoint, 2),
        weights("."),
        sums=True,
        apart=True,
    ),
    "frozen graph": of_network(
        {"net.pb": _of_message("graph")},
        write_frozen,
        "net.pb",
    ),
    "frozen graph of files": of_network(
        {"net.pb": _of_message("graph")},
        write_decoding_graph,
        "net.pb",
    ),
    "graph in text": of_network(
        {"net.pbtxt": TEXT},
        write_text_graph,
        "net.pbtxt",
    ),
    "SavedModel": of_network(
        {
            "model/saved_model.pb": _of_message("saved model"),
            "model/variables/variables.index": BYTES,
            "model/variables/variables.data-00000-of-00001": BYTES,
        },
        write_saved_model,
        "model",
    ),
    "SavedModel of TensorFlow 2": of_network(
        {"model/saved_model.pb": _of_message("saved model"), "model/variables/variables.index": BYTES},
        write_saved_model_of_2,
        "model",
    ),
    "meta": of_network(
        {"net.ckpt.meta": _of_message("meta"), "net.ckpt.index": BYTES},
        write_meta,
        "net.ckpt.meta",
    ),
    "Keras' archive": of_network(
        {"net.keras": (*BYTES, *(_CONFIG,) * 8, *(_INNER,) * 3)},
        functools.partial(write_keras, "net.keras"),
        "net.keras",
    ),
    "Keras' HDF5": of_network(
        {"net.h5": (*BYTES, *(mutations.attribute("model_config", *JSON),) * 8)},
        functools.partial(write_keras, "net.h5"),
        "net.h5",
    ),
    "HDF5 of Keras 2": of_network(
        {"net.h5": (*BYTES[:4], *(mutations.attribute("model_config", *JSON),) * 12)},
        write_old_keras,
        "net.h5",
    ),
    "pictures": Reader(
        dict.fromkeys(_PICTURES, BYTES),
        write_pictures,
        read_pictures,
        apart=True,
    ),
    "arrays": Reader(
        {"net.npy": (*BYTES, *TEXT), "several.npy": (*BYTES, *TEXT), "pages.tif": BYTES}, write_arrays, read_arrays
    ),
    "maps": Reader(
        {"net.npz": (*BYTES, _NPY), "net.png": BYTES, "net.jpg": BYTES, "net.webp": BYTES, "net.json": JSON},
        write_maps,
        read_maps,
    ),
    "Tiny ImageNet": Reader(
        {"tiny.zip": (*BYTES, mutations.member(*TEXT, of=".txt"), mutations.member(*BYTES, of=".JPEG"))},
        write_tiny,
        examples("tiny.zip"),
        apart=True,
    ),
    "csv": Reader({"net.csv": TEXT, "net.jpg": BYTES}, write_listed, examples("net.csv")),
    "Kaggle's list": Reader({"LOC_val_solution.csv": TEXT, **_LISTS}, write_kaggle, examples(".")),
    "Caffe's list": Reader({"val.txt": TEXT}, write_caffe_list, examples(".")),
    "devkit": Reader(
        {
            "devkit/data/meta.mat": BYTES,
            "devkit/meta.mat": BYTES,
            "devkit/data/ILSVRC2012_validation_ground_truth.txt": TEXT,
        },
        write_devkit,
        examples("."),
    ),
    "devkit in text": Reader(
        {"map_clsloc.txt": TEXT, "truth.txt": TEXT}, write_devkit_text, examples(".", labels="truth.txt")
    ),
    "XML": Reader({"ILSVRC2012_val_00000000.xml": TEXT}, write_xml, examples(".")),
    "VOC": Reader({"Annotations/000001.xml": TEXT, "ImageSets/Main/test.txt": TEXT}, write_voc, examples(".")),
    "COCO": Reader({"instances_val2014.json": JSON}, write_coco, examples("instances_val2014.json")),
    "journal": Reader({"net.jsonl": JSON}, write_journal, read_journal),
    "table of predictions": Reader({"net.json": JSON}, write_table, read_table),
    "reference": Reader({"net.npz": (*BYTES, *(_NPY,) * 6)}, write_reference, read_reference, called="the reference"),
    "labels": Reader({"net.txt": TEXT, "wnids.txt": TEXT, "net.json": JSON}, write_labels, read_labels),
    "record of hashes": Reader({"file.sha256": TEXT}, write_record, read_record),
}
