"""The flags of the command line's commands, and of the scripts; help names what the registries have.

The registries are asked when a command's flags are added; none of them needs TensorFlow.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import slim_models
from gradcam.cli.network_flags import add_averages_flag, add_network_flags, add_prepared_flag, add_tensor_flags, listed
from gradcam.cli.words import region_of
from slim_models.mistakes import BadValue, check_name

if TYPE_CHECKING:
    from gradcam.maps import Look

FIGURES = (".png", ".pdf", ".svg")


def figure_path(text: str) -> pathlib.Path:
    """The name of a figure, as a flag's type: a mistake is told before hours of work."""
    path = pathlib.Path(text)
    if path.suffix.lower() not in FIGURES:
        raise argparse.ArgumentTypeError(f"{text!r} is no figure's name: it must end in {', '.join(FIGURES)}")
    return path


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
    add_network_flags(compare, required=True)
    compare.add_argument("--layer", metavar="NAME", help="the layer of the reference's cam, where that is unclear")
    layouts = listed(LAYOUTS, "tensorflow")
    text = f"{layouts}; caffe: as in pycaffe's blobs"
    compare.add_argument("--layout", default="tensorflow", metavar="NAME", help=text)
    compare.add_argument("--plot", metavar="FILE", help="draw theirs, ours and the difference side by side")
    compare.add_argument(
        "--tolerance", type=float, default=1e-4, metavar="T", help="relative L2 difference (default: %(default)s)"
    )


def add_conformance_flags(conformance: argparse.ArgumentParser) -> None:
    """Of `gradcam conformance`."""
    text = "maps [h, w] or [H, W, 3] under any names, made by any program of what --reference has written"
    conformance.add_argument("maps", nargs="?", metavar="MY.npz", help=text)
    text = (
        "write what the maps are to be made of: the weights of a small VGG16, a picture, the layer's activations and "
        "gradients"
    )
    conformance.add_argument("--reference", metavar="FILE.npz", help=text)


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
    add_prepared_flag(layers)


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
    from gradcam.methods import FLIP, REGISTRY
    from gradcam.pictures import SAMPLES

    text = (
        f"a picture, a folder of pictures, or one of ours ({', '.join(f'sample:{n}' for n in SAMPLES)}); an npy "
        "file [H, W, K] or [N, H, W, K], or of these stack.npy[2]; where the network takes arrays also a TIFF with a "
        "band a page"
    )
    explain.add_argument("images", nargs="+", metavar="IMAGE", help=text)
    add_network_flags(explain)
    add_prepared_flag(explain)
    _add_target_flags(explain)
    explain.add_argument("--layer", action="append", metavar="NAME", help="may be given again; see gradcam layers")
    text = f"{listed(REGISTRY, 'grad_cam')}; with {FLIP} behind it the mean over flips; may be given again"
    explain.add_argument("--method", action="append", metavar="NAME", help=text)
    _add_check_flag(explain)
    add_fit_flag(explain)
    explain.add_argument("--recursive", action="store_true", help="go into folders within folders")
    explain.add_argument("--batch", type=int, default=8, metavar="N", help="pictures a run (default: %(default)s)")
    explain.add_argument("--device", metavar="NAME", help="cpu, gpu or gpu:NUMBER (default: TensorFlow's choice)")
    explain.add_argument(
        "--precision",
        metavar="NAME",
        help=f"{listed(slim_models.PRECISIONS)} (default: the network's own, float32 for ours); bfloat16 is up to "
        "twice as fast, or more, on AMD's processors since Zen 4 and with Intel's AMX",
    )
    add_file_flags(explain)
    _add_tensorboard_flags(explain)
    add_cluster_flags(explain)


def _add_check_flag(explain: argparse.ArgumentParser) -> None:
    text = (
        "is it the map or the network? Says in five lines of each map whether it changes when the weights behind the "
        "layer are random and when another class is asked for, stays under noise, and marks what matters; writes a "
        ".check.json. It makes each map 9 times more"
    )
    explain.add_argument("--check", action="store_true", help=text)


def _add_tensorboard_flags(explain: argparse.ArgumentParser) -> None:
    text = "show the overlays in TensorBoard too: its folder, or one below it"
    explain.add_argument("--tensorboard", metavar="LOGDIR", help=text)
    text = "that the overlays are of in TensorBoard, such as the checkpoint's (default: %(default)s)"
    explain.add_argument("--step", type=int, default=0, metavar="N", help=text)


def add_cluster_flags(parser: argparse.ArgumentParser) -> None:
    """Of what workers can do in this program's place."""
    group = parser.add_argument_group("workers", "many pictures, by Dask (pip install 'gradcam-tf1[cluster]')")
    text = (
        "of a Dask scheduler, tcp://HOST:8786, or its scheduler file; workers see the same files unless they are sent"
    )
    group.add_argument("--cluster", metavar="ADDRESS", help=text)
    group.add_argument("--workers", type=int, metavar="N", help="start so many processes here, in place of --cluster")
    text = "send the pictures to workers that do not see their files, and get what they write back"
    group.add_argument("--send-pictures", action="store_true", help=text)
    text = "take workers whose TensorFlow is of another version: their numbers differ in the last digits"
    group.add_argument("--any-tensorflow", action="store_true", help=text)


def _add_target_flags(explain: argparse.ArgumentParser) -> None:
    """What is explained: classes, and what they are told from."""
    explain.add_argument(
        "--target",
        action="append",
        metavar="CLASS",
        help="a class by index, WordNet id or name, or with a minus before it, --target -espresso, what speaks against "
        "it; may be given again (default: the predicted class)",
    )
    text = "what makes it each --target rather than this class, or than the mean of several; may be given again"
    explain.add_argument("--against", action="append", metavar="CLASS", help=text)
    text = "of a segmentation: each --target in this part of the picture, in shares of it such as 0.25,0.1,0.75,0.6"
    explain.add_argument("--region", type=region_of, metavar="LEFT,TOP,RIGHT,BOTTOM", help=text)


def add_file_flags(explain: argparse.ArgumentParser) -> None:
    """Of `gradcam explain`."""
    from gradcam.cli.naming import FIELDS
    from gradcam.cli.writer import OUTPUTS, TOP
    from gradcam.pictures import FORMATS

    explain.add_argument(
        "--bands",
        metavar="R,G,B|BAND",
        help="of arrays: what is shown as red, green and blue, or as grey, counted from 1 (default: the mean as grey, "
        "or of three channels all)",
    )
    add_look_flags(explain, "the classes of a picture by the largest of theirs, of which there must be several")
    explain.add_argument("--format", default="png", metavar="NAME", help=f"of overlays: {listed(FORMATS, 'png')}")
    text = "of an overlay's longer side (default: the picture's own)"
    explain.add_argument("--max-size", type=int, metavar="PIXELS", help=text)
    text = f"{listed(OUTPUTS)}; may be given again (default: all of them)"
    explain.add_argument("--write", action="append", metavar="NAME", help=text)
    explain.add_argument("--out", default="out", metavar="DIR", help="where the files go (default: %(default)s)")
    explain.add_argument(
        "--name",
        metavar="PATTERN",
        help=f"what files are called within it, with fields of {', '.join(f'{{{field}}}' for field in FIELDS)} "
        "(default: {picture}.{class} and whatever is not the default)",
    )
    text = "write over files that were made otherwise: of another picture or network, or in another way"
    explain.add_argument("--force", action="store_true", help=text)
    text = (
        "leave out pictures of which all files are there, made as they would be now: go on with a run that was stopped"
    )
    explain.add_argument("--skip-existing", action="store_true", help=text)
    text = "classes that are told of each picture, and in the table of several (default: %(default)s)"
    explain.add_argument("--top", type=int, default=TOP, metavar="K", help=text)


def add_look_flags(parser: argparse.ArgumentParser, shared: str = "all that are of one kind by the largest") -> None:
    """How heat maps are drawn; `shared`: what of the maps shares a scale, where they share one."""
    from gradcam.figures import SCALES
    from gradcam.maps import COLORMAPS, LOOK

    text = f"of heat maps: {listed(COLORMAPS, LOOK.colormap)}; jet is the paper's authors'"
    parser.add_argument("--colormap", default=LOOK.colormap, metavar="NAME", help=text)
    text = "of heat maps: 0 leaves the picture alone, 1 covers it (default: %(default)s)"
    parser.add_argument("--opacity", type=float, default=LOOK.opacity, metavar="SHARE", help=text)
    text = "the picture below a heat map without its colours, so that all of them are the map's, or with them"
    parser.add_argument(
        "--grey", action=argparse.BooleanOptionalAction, default=LOOK.grey, help=f"{text} (default: on)"
    )
    text = f"{listed(SCALES, SCALES[0])}: what heat maps are divided by: each by its own maximum, or {shared}"
    parser.add_argument("--scale", default=SCALES[0], metavar="NAME", help=text)


def look_of(args: argparse.Namespace) -> Look:
    """How heat maps are drawn, as the flags say.

    Raises:
        KeyError: no such colormap or scale.
        ValueError: an opacity that is no share.
    """
    from gradcam.figures import SCALES
    from gradcam.maps import COLORMAPS, Look

    check_name("colormap", args.colormap, COLORMAPS)
    check_name("scale", args.scale, SCALES)
    if not 0 <= args.opacity <= 1:
        raise BadValue(f"--opacity must be from 0 to 1, not {args.opacity:g}")
    return Look(args.colormap, args.opacity, args.grey)


def add_fit_flag(parser: argparse.ArgumentParser) -> None:
    """How pictures become square."""
    from gradcam.pictures import FITS

    parser.add_argument(
        "--fit",
        choices=FITS,
        default=FITS[0],
        help="how a picture becomes square: all of it, squeezed, or its centre, in proportion (default: %(default)s)",
    )


def add_run_flags(parser: argparse.ArgumentParser, network: str | Sequence[str | None] | None, out: str) -> None:
    """Of whatever makes a figure of a network, or of several: which, and where the figure goes."""
    several: dict[str, Any] = {} if network is None or isinstance(network, str) else {"nargs": "+"}
    named = [word or slim_models.DEFAULT_NETWORK for word in (network if several and network else [network])]
    text = f"ours, or your own (default: {' '.join(map(str, named))})"
    parser.add_argument("--network", default=network, metavar="NAME|PATH", help=text, **several)
    parser.add_argument("--weights", metavar="PATH", help="default: the network's file in weights/", **several)
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
        help="samples (default), Tiny ImageNet's folder or zip, ILSVRC's validation pictures, PASCAL VOC, COCO, or a "
        "CSV file of path, class and boxes",
    )
    text = "ILSVRC's XML folder or list of boxes, or COCO's JSON of instances, if it lies elsewhere"
    parser.add_argument("--annotations", metavar="PATH", help=text)
    text = "ILSVRC's list of classes, for pictures without XML, or VOC's list of pictures"
    parser.add_argument("--labels", metavar="FILE", help=text)
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
    add_cluster_flags(parser)


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
