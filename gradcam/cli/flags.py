"""The flags of the command line's commands, and of the scripts; help names what the registries have.

The registries are asked when a command's flags are added; none of them needs TensorFlow.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import slim_models

DEFAULT_NETWORK = "resnet_v1_50_tiny"
FIGURES = (".png", ".pdf", ".svg")


def listed(names: Iterable[str], default: str | None = None) -> str:
    """The names in a sentence: `jet (default), turbo or hot`."""
    *first, last = (f"{name} (default)" if name == default else name for name in names)
    return f"{', '.join(first)} or {last}" if first else last


def figure_path(text: str) -> pathlib.Path:
    """The name of a figure, as a flag's type: a mistake is told before hours of work."""
    path = pathlib.Path(text)
    if path.suffix.lower() not in FIGURES:
        raise argparse.ArgumentTypeError(f"{text!r} is no figure's name: it must end in {', '.join(FIGURES)}")
    return path


def add_network_flags(parser: argparse.ArgumentParser, default: str | None = DEFAULT_NETWORK) -> None:
    """The network, by name or by path; of one that is not ours, what could not be found in it."""
    parser.add_argument(
        "--network",
        default=default,
        required=default is None,
        metavar="NAME|PATH",
        help="a name (see gradcam networks), or the path of your own: a frozen graph, SavedModel, checkpoint with "
        ".meta or Keras model" + (" (default: %(default)s)" if default else ""),
    )
    parser.add_argument("--weights", metavar="PATH", help="default: the network's file in weights/, or what is at PATH")
    add_tensor_flags(parser)


def add_tensor_flags(parser: argparse.ArgumentParser, labels: str = "--labels") -> None:
    """What `slim_models.open_network` is told of a network; `labels`: what the flag of its classes is called."""
    from slim_models.labels import LISTS

    own = parser.add_argument_group("your own network", "what is not given is found out and printed")
    own.add_argument("--images-tensor", metavar="NAME", help="takes the pictures")
    own.add_argument("--logits-tensor", metavar="NAME", help="the logits, or the probabilities made of them")
    text = (
        f"of RGB in [0, 255]: {listed(slim_models.PREPROCESSINGS)}, or numbers, for (RGB / scale - mean) / std, of "
        "each channel as R/G/B or one for all: mean=0.485/0.456/0.406,std=0.229/0.224/0.225,scale=255; order=BGR "
        "reverses the channels after that (defaults: 0, 1, 1, RGB)"
    )
    own.add_argument("--preprocessing", metavar="NAME|NUMBERS", help=text)
    own.add_argument(
        labels,
        dest="network_labels",
        metavar="NAME|FILE",
        help=f"the classes, also of a network of ours: {', '.join(LISTS)}, or a file with a name a line",
    )
    own.add_argument("--head", metavar="NAME", help=f"what is made of the logits: {listed(slim_models.HEADS)}")
    own.add_argument("--image-size", type=int, metavar="PIXELS", help="where the network takes any size")
    add_averages_flag(parser)


def add_averages_flag(parser: argparse.ArgumentParser) -> None:
    """Which of the two values that a training has of every weight."""
    parser.add_argument(
        "--averages",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="take the moving averages that a training has kept of its weights, or do not (default: for a network of "
        "ours where every weight has one; not in a graph of your own)",
    )


def chosen_network(args: argparse.Namespace, image_size: int | None = None) -> slim_models.Network:
    """The network that `--network` and `--weights` mean, with its values; what was guessed is printed."""
    return slim_models.open_network(
        args.network,
        args.weights,
        image_size=image_size or args.image_size,
        say=tell,
        layer=None if args.network in slim_models.NETWORKS else args.layer,
        **found_in(args),
    )


def network_of(args: argparse.Namespace) -> slim_models.Network:
    """The network that a script's or a kind's flags mean; what was guessed of the user's own is printed."""
    found = found_in(args) if hasattr(args, "images_tensor") else {}
    size = getattr(args, "image_size", None)
    return slim_models.open_network(args.network, args.weights, image_size=size, say=tell, **found)


def found_in(args: argparse.Namespace) -> dict[str, Any]:
    """What the user says of a network, as `slim_models.open_network` takes it."""
    names = {"images": args.images_tensor, "logits": args.logits_tensor}
    own = {"preprocessing": args.preprocessing, "labels": args.network_labels, "head": args.head}
    return {**names, **own, "averages": args.averages}


def tell(line: str) -> None:
    """Says something beside what a program prints."""
    print(line, file=sys.stderr)


def add_compare_flags(compare: argparse.ArgumentParser) -> None:
    """Of `gradcam compare`."""
    from gradcam.comparison import LAYOUTS

    compare.add_argument(
        "reference", metavar="REFERENCE.npz", help="as scripts/caffe_reference.py writes it; with --authors a folder"
    )
    compare.add_argument(
        "--authors",
        metavar="IMAGE",
        help="REFERENCE is a folder with the pictures (classify_gb_243.png, ...) that the paper's authors' code made "
        "of IMAGE: tells how alike ours are",
    )
    add_network_flags(compare, None)
    compare.add_argument("--layer", metavar="NAME", help="the layer of the reference's cam, where that is unclear")
    layouts = listed(LAYOUTS, "tensorflow")
    text = f"{layouts}; caffe: as in pycaffe's blobs"
    compare.add_argument("--layout", default="tensorflow", metavar="NAME", help=text)
    compare.add_argument("--plot", metavar="FILE", help="draw theirs, ours and the difference side by side")
    compare.add_argument(
        "--tolerance", type=float, default=1e-4, metavar="T", help="relative L2 difference (default: %(default)s)"
    )


def add_download_flags(download: argparse.ArgumentParser) -> None:
    """Of `gradcam download`."""
    download.add_argument("networks", nargs="+", metavar="NETWORK", help=listed(slim_models.SOURCES))
    download.add_argument("--dir", metavar="DIR", help="default: $GRADCAM_WEIGHTS, or ./weights")
    download.add_argument("--from", dest="source", metavar="URL", help="another address of one of the known files")
    download.add_argument("--force", action="store_true", help="fetch weights also if they are there")


def add_layers_flags(layers: argparse.ArgumentParser) -> None:
    """Of `gradcam layers`."""
    layers.add_argument("network", metavar="NAME|PATH", help="as of gradcam explain --network")
    add_tensor_flags(layers)


def add_inspect_flags(inspect: argparse.ArgumentParser) -> None:
    """Of `gradcam inspect`."""
    inspect.add_argument("network", metavar="NAME|PATH", help="a name (see gradcam networks), or the path of anything")
    inspect.add_argument("--json", metavar="FILE", help="write the same as JSON too")
    add_tensor_flags(inspect)


def add_convert_flags(convert: argparse.ArgumentParser) -> None:
    """Of `gradcam convert`."""
    convert.add_argument("source", metavar="SRC", help="a file of weights")
    convert.add_argument("destination", metavar="DST", help="a name that ends in .npy, .npz or .ckpt")
    add_averages_flag(convert)


def add_explain_flags(explain: argparse.ArgumentParser) -> None:
    """Of `gradcam explain`."""
    from gradcam.methods import REGISTRY

    explain.add_argument("images", nargs="+", metavar="IMAGE", help="a picture, a folder of pictures, or sample:NAME")
    add_network_flags(explain)
    explain.add_argument(
        "--target",
        action="append",
        metavar="CLASS",
        help="a class by index, WordNet id or name; may be given again (default: the predicted class)",
    )
    explain.add_argument("--layer", action="append", metavar="NAME", help="may be given again; see gradcam layers")
    text = f"{listed(REGISTRY, 'grad_cam')}; may be given again"
    explain.add_argument("--method", action="append", metavar="NAME", help=text)
    add_fit_flag(explain)
    explain.add_argument("--batch", type=int, default=8, metavar="N", help="pictures a run (default: %(default)s)")
    explain.add_argument("--device", metavar="NAME", help="cpu, gpu or gpu:NUMBER (default: TensorFlow's choice)")
    explain.add_argument(
        "--precision",
        metavar="NAME",
        help=f"{listed(slim_models.PRECISIONS)} (default: the network's own, float32 for ours); bfloat16 is up to "
        "twice as fast, or more, on processors with units for it",
    )
    add_file_flags(explain)


def add_file_flags(explain: argparse.ArgumentParser) -> None:
    """Of `gradcam explain`."""
    from gradcam.cli.explain import OUTPUTS
    from gradcam.maps import COLORMAPS

    explain.add_argument("--colormap", default="jet", metavar="NAME", help=listed(COLORMAPS, "jet"))
    text = f"{listed(OUTPUTS)}; may be given again (default: all of them)"
    explain.add_argument("--write", action="append", metavar="NAME", help=text)
    explain.add_argument("--out", default="out", metavar="DIR", help="where the files go (default: %(default)s)")


def add_fit_flag(parser: argparse.ArgumentParser) -> None:
    """How pictures become square."""
    from gradcam.pictures import FITS

    parser.add_argument(
        "--fit",
        choices=FITS,
        default=FITS[0],
        help="how a picture becomes square: all of it, squeezed, or its centre, in proportion (default: %(default)s)",
    )


def add_run_flags(parser: argparse.ArgumentParser, network: str, out: str) -> None:
    """Of whatever makes a figure of a network: which network, and where the figure goes."""
    parser.add_argument(
        "--network", default=network, metavar="NAME|PATH", help="ours, or your own (default: %(default)s)"
    )
    parser.add_argument("--weights", metavar="PATH", help="default: the network's file in weights/")
    parser.add_argument(
        "--out", type=figure_path, default=pathlib.Path(out), metavar="FILE", help="default: %(default)s"
    )


def add_data_flags(parser: argparse.ArgumentParser, methods: Sequence[str]) -> None:
    """Of a run over a data set; `methods`: what is compared by default, `cam` where the network allows it."""
    from gradcam.methods import SMOOTH

    parser.add_argument(
        "--data",
        default="samples",
        metavar="DATA",
        help="samples (default), Tiny ImageNet's folder or zip, ILSVRC's validation pictures, or a CSV file of path, "
        "class and boxes",
    )
    parser.add_argument(
        "--annotations", metavar="PATH", help="ILSVRC's XML folder or list of boxes, if it lies elsewhere"
    )
    parser.add_argument("--labels", metavar="FILE", help="ILSVRC's list of classes, for pictures without XML")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N pictures")
    parser.add_argument("--batch", type=int, default=25, metavar="N", help="pictures a run (default: %(default)s)")
    parser.add_argument("--layer", metavar="NAME", help="of the maps (default: the network's last)")
    add_fit_flag(parser)
    parser.add_argument("--methods", nargs="+", metavar="NAME", help=f"default: {' '.join(methods)}")
    parser.add_argument(
        "--smooth",
        type=float,
        default=SMOOTH,
        metavar="SHARE",
        help="of the height, by which the absolute values of saliency are blurred (default: %(default)s)",
    )
    parser.add_argument("--fresh", action="store_true", help="do not go on with a run that was interrupted")


def add_box_flags(parser: argparse.ArgumentParser) -> None:
    """How a map becomes a box."""
    from gradcam.boxes import SEGMENTS
    from gradcam.evaluation import RESIZINGS

    parser.add_argument("--threshold", type=float, default=0.15, help="share of the maximum (default: %(default)s)")
    parser.add_argument(
        "--segment", default="largest", help=f"the segment boxed: {', '.join(SEGMENTS)} (default: %(default)s)"
    )
    parser.add_argument(
        "--resize", default="picture", help=f"the size maps are cut at: {', '.join(RESIZINGS)} (default: %(default)s)"
    )
