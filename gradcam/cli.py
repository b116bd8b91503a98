"""The command `gradcam`: flags, errors and exit codes. TensorFlow is imported only when needed."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from gradcam import terminal

DEFAULT_NETWORK = "resnet_v1_50_tiny"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        0; 1 if some of several pictures failed and the others are done, or if a comparison failed; 2 for a
        user's mistake, which is told in one line.
    """
    parser = _parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # --help, --version, or flags that argparse does not know
        return int(stop.code or 0)
    try:
        with terminal.quiet_tensorflow(not args.verbose):
            from gradcam import commands
        return getattr(commands, args.command)(args)
    except terminal.MISTAKES as error:
        if args.verbose:
            traceback.print_exc()
        print(f"gradcam: {terminal.message(error)}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gradcam", description="Grad-CAM for TensorFlow static graphs.")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--verbose", action="store_true", help="let TensorFlow talk, and show tracebacks")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("networks", parents=[shared], help="list the networks and whether their weights are here")
    explain = commands.add_parser(
        "explain", parents=[shared], help="explain pictures", description="Explains pictures by a network's classes."
    )
    _add_explain_flags(explain)
    compare = commands.add_parser(
        "compare",
        parents=[shared],
        help="compare our numbers with Caffe's",
        description="Runs a network on the pictures of a reference and compares its arrays; exit code 1 if any fails.",
    )
    _add_compare_flags(compare)
    download = commands.add_parser(
        "download", parents=[shared], help="fetch published weights", description="Fetches and verifies weights."
    )
    _add_download_flags(download)
    convert = commands.add_parser(
        "convert",
        parents=[shared],
        help="write weights in another format",
        description="Writes the weights of one file as another: from npy, npz, a checkpoint V1 or V2 (also slim's "
        "VGG16 or VGG19), Keras' VGG16 or VGG19 (.h5) or a .caffemodel, to .npy, .npz or .ckpt (V2).",
    )
    convert.add_argument("source", metavar="SRC", help="a file of weights")
    convert.add_argument("destination", metavar="DST", help="a name that ends in .npy, .npz or .ckpt")
    return parser


def _add_compare_flags(compare: argparse.ArgumentParser) -> None:
    compare.add_argument(
        "reference", metavar="REFERENCE.npz", help="as scripts/caffe_reference.py writes it; with --authors a folder"
    )
    compare.add_argument(
        "--authors",
        metavar="IMAGE",
        help="REFERENCE is a folder with the pictures (classify_gb_243.png, ...) that the paper's authors' code made "
        "of IMAGE: tells how alike ours are",
    )
    compare.add_argument("--network", required=True, metavar="NAME", help="see gradcam networks")
    compare.add_argument("--weights", metavar="PATH", help="default: the network's file in weights/")
    compare.add_argument("--layer", metavar="NAME", help="the layer of the reference's cam, where that is unclear")
    compare.add_argument(
        "--layout",
        default="tensorflow",
        metavar="NAME",
        help="tensorflow (default), or caffe: as in pycaffe's blobs",
    )
    compare.add_argument("--plot", metavar="FILE", help="draw theirs, ours and the difference side by side")
    compare.add_argument(
        "--tolerance", type=float, default=1e-4, metavar="T", help="relative L2 difference (default: %(default)s)"
    )


def _add_download_flags(download: argparse.ArgumentParser) -> None:
    download.add_argument(
        "networks", nargs="+", metavar="NETWORK", help="vgg16, vgg19, resnet_v1_50, resnet_v1_101 or mobilenet_v1"
    )
    download.add_argument("--dir", metavar="DIR", help="default: $GRADCAM_WEIGHTS, or ./weights")
    download.add_argument("--from", dest="source", metavar="URL", help="another address of one of the known files")
    download.add_argument("--force", action="store_true", help="fetch weights also if they are there")


def _add_explain_flags(explain: argparse.ArgumentParser) -> None:
    explain.add_argument("images", nargs="+", metavar="IMAGE", help="a picture, a folder of pictures, or sample:NAME")
    explain.add_argument("--network", default=DEFAULT_NETWORK, metavar="NAME", help="default: %(default)s")
    explain.add_argument("--weights", metavar="PATH", help="default: the network's file in weights/")
    explain.add_argument(
        "--target",
        action="append",
        metavar="CLASS",
        help="a class by index, WordNet id or name; may be given again (default: the predicted class)",
    )
    explain.add_argument("--layer", action="append", metavar="NAME", help="may be given again; see gradcam networks")
    explain.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="grad_cam (default), counterfactual, grad_cam_plus_plus, xgrad_cam, hires_cam or layer_cam; "
        "may be given again",
    )
    explain.add_argument(
        "--fit",
        choices=("stretch", "crop"),
        default="stretch",
        help="how a picture becomes square: all of it, squeezed, or its centre, in proportion (default: %(default)s)",
    )
    explain.add_argument("--batch", type=int, default=8, metavar="N", help="pictures a run (default: %(default)s)")
    explain.add_argument("--device", metavar="NAME", help="cpu, gpu or gpu:NUMBER (default: TensorFlow's choice)")
    explain.add_argument(
        "--precision",
        default="float32",
        metavar="NAME",
        help="float32 (default), or bfloat16: up to twice as fast, or more, on processors with units for it",
    )
    _add_file_flags(explain)


def _add_file_flags(explain: argparse.ArgumentParser) -> None:
    explain.add_argument(
        "--colormap", default="jet", metavar="NAME", help="jet (default), turbo, viridis, inferno, hot or gray"
    )
    explain.add_argument(
        "--write",
        action="append",
        metavar="NAME",
        help="overlay, figure or arrays; may be given again (default: all three)",
    )
    explain.add_argument("--out", default="out", metavar="DIR", help="where the files go (default: %(default)s)")
