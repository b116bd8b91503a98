"""The command `gradcam`: its commands, errors and exit codes. TensorFlow is imported only when needed."""

from __future__ import annotations

import argparse
import functools
import importlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gradcam import terminal
from gradcam.cli import flags, network_flags, serving
from slim_models import __version__


class Command(NamedTuple):
    """A command: what `gradcam --help` and its own help say of it, its flags, and the module with what it does."""

    help: str
    description: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    module: str = "commands"


def _add_evaluate_flags(evaluate: argparse.ArgumentParser) -> None:
    """Of `gradcam evaluate`: a command of its own for each kind."""
    from gradcam.cli.evaluate import KINDS

    kinds = evaluate.add_subparsers(dest="kind", required=True, metavar="KIND")
    for name, kind in KINDS.items():
        sub = kinds.add_parser(name, help=kind.help, description=kind.description)
        sub.add_argument("--verbose", action="store_true", default=argparse.SUPPRESS, help="as of gradcam evaluate")
        kind.add_flags(sub, f"out/{name}.png", kind.network)
        network_flags.add_tensor_flags(sub, "--network-labels")


COMMANDS = {
    "explain": Command("explain pictures", "Explains pictures by a network's classes.", flags.add_explain_flags),
    "compare": Command(
        "compare our numbers with Caffe's",
        "Runs a network on the pictures of a reference and compares its arrays; exit code 1 if any fails.",
        flags.add_compare_flags,
    ),
    "conformance": Command(
        "tell which method a map is",
        "Tells of each array in a file, a map of one small network, which of our methods it is, or which other "
        "definition of it that libraries have.",
        flags.add_conformance_flags,
    ),
    "evaluate": Command(
        "judge maps over a data set",
        "Measures how good a network's maps are over a data set, and writes tables with 95 % intervals.",
        _add_evaluate_flags,
    ),
    "download": Command("fetch published weights", "Fetches and verifies weights.", flags.add_download_flags, "quick"),
    "networks": Command(
        "list the networks and whether their weights are here",
        "Lists the networks: input, layers, classes, weights.",
        lambda parser: None,
        "quick",
    ),
    "layers": Command(
        "list a network's layers",
        "Lists the layers of a network that can be explained, with their shapes; the default is marked.",
        flags.add_layers_flags,
    ),
    "serve": Command(
        "a page in the browser to try networks on pictures",
        "Serves a page on which pictures are dropped and explained; it needs gradio (pip install 'gradcam-tf1[web]').",
        serving.add_serve_flags,
        "serving",
    ),
    "inspect": Command(
        "tell what a file is and what was found in it",
        "Tells in one screen what a network's file is, all that is found in it, and what has to be told by hand; also "
        "of a file that cannot be explained, and why.",
        flags.add_inspect_flags,
    ),
    "convert": Command(
        "write weights in another format",
        "Writes the weights of one file as another: from npy, npz, a checkpoint V1 or V2 (also slim's "
        "VGG16 or VGG19), Keras' VGG16 or VGG19 (.h5), a .caffemodel, PyTorch's .pth, .pt or .bin, or .safetensors, to "
        ".npy, .npz or .ckpt (V2).",
        flags.add_convert_flags,
        "quick",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: the arguments; None takes those of the process.

    Returns:
        0; 1 if some of several pictures failed and the others are done, or if a comparison failed; 2 for a
        user's mistake, which is told in one line; 130 for Ctrl-C.
    """
    argv = _bound(sys.argv[1:] if argv is None else argv)
    parser = _parser(next((word for word in argv if word in COMMANDS), None))
    args = terminal.run("gradcam", lambda: parser.parse_args(argv))
    if isinstance(args, argparse.Namespace):
        args.words = argv[1:]
        args = terminal.run("gradcam", functools.partial(_run, args), args.verbose)
    return args if isinstance(args, int) else 0


def _bound(argv: Sequence[str]) -> list[str]:
    """`--target -espresso` as `--target=-espresso`: argparse takes whatever begins with a minus for a flag."""
    words: list[str] = []
    for word in argv:
        if words[-1:] == ["--target"] and re.match("-[^-]", word) and word != "-h":
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def _run(args: argparse.Namespace) -> int:
    """Runs a command, whose module is imported only when its arguments look right: most bring TensorFlow."""
    from gradcam.cli import beforehand

    beforehand.check(args)
    with terminal.quiet_tensorflow(not args.verbose), terminal.without_collecting():
        module = importlib.import_module(f"gradcam.cli.{COMMANDS[args.command].module}")
    return getattr(module, args.command)(args)


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser; only the command that was chosen gets its flags, whose help asks registries what there is."""
    parser = terminal.Parser(prog="gradcam", description="Grad-CAM for TensorFlow static graphs.")
    parser.add_argument("--version", action="version", version=f"gradcam {__version__}")
    shared = terminal.Parser(add_help=False)
    shared.add_argument("--verbose", action="store_true", help="let TensorFlow talk, and show tracebacks")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, parents=[shared], help=command.help, description=command.description)
        if name == chosen:
            command.add_flags(sub)
    return parser
