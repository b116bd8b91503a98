"""The command `gradcam`: flags, errors and exit codes. TensorFlow is imported only when needed."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from gradcam import terminal
from gradcam.cli import flags


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
            from gradcam.cli import commands
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
    explain = commands.add_parser(
        "explain", parents=[shared], help="explain pictures", description="Explains pictures by a network's classes."
    )
    flags.add_explain_flags(explain)
    compare = commands.add_parser(
        "compare",
        parents=[shared],
        help="compare our numbers with Caffe's",
        description="Runs a network on the pictures of a reference and compares its arrays; exit code 1 if any fails.",
    )
    flags.add_compare_flags(compare)
    download = commands.add_parser(
        "download", parents=[shared], help="fetch published weights", description="Fetches and verifies weights."
    )
    flags.add_download_flags(download)
    _add_small_commands(commands, shared)
    return parser


def _add_small_commands(commands: argparse._SubParsersAction, shared: argparse.ArgumentParser) -> None:
    commands.add_parser("networks", parents=[shared], help="list the networks and whether their weights are here")
    layers = commands.add_parser(
        "layers",
        parents=[shared],
        help="list a network's layers",
        description="Lists the layers of a network that can be explained, with their shapes; the default is marked.",
    )
    layers.add_argument("network", metavar="NAME|PATH", help="as of gradcam explain --network")
    flags.add_tensor_flags(layers)
    convert = commands.add_parser(
        "convert",
        parents=[shared],
        help="write weights in another format",
        description="Writes the weights of one file as another: from npy, npz, a checkpoint V1 or V2 (also slim's "
        "VGG16 or VGG19), Keras' VGG16 or VGG19 (.h5) or a .caffemodel, to .npy, .npz or .ckpt (V2).",
    )
    convert.add_argument("source", metavar="SRC", help="a file of weights")
    convert.add_argument("destination", metavar="DST", help="a name that ends in .npy, .npz or .ckpt")
