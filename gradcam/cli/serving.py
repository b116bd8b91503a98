"""`gradcam serve`: a page to try networks on pictures, for this machine unless others are let in."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import slim_models
from gradcam.cli.network_flags import add_network_flags, chosen_network, tell
from slim_models.mistakes import BadValue, MissingPackage, Unreachable

__all__ = ["serve"]

_OURS = ("127.0.0.1", "localhost", "::1")


def add_serve_flags(serve: argparse.ArgumentParser) -> None:
    """Of `gradcam serve`."""
    add_network_flags(serve)
    serve.set_defaults(layer=None)  # it is chosen on the page
    text = "where it listens: this machine alone (default: %(default)s), or 0.0.0.0 for whoever can reach it"
    serve.add_argument("--host", default=_OURS[0], metavar="ADDRESS", help=text)
    serve.add_argument("--port", type=int, default=7860, metavar="N", help="default: %(default)s")
    text = "the largest file that may be uploaded (default: %(default)s)"
    serve.add_argument("--max-upload", type=float, default=20, metavar="MB", help=text)


def check_gradio() -> None:
    """Whether the library of the page is installed, which is quick to say; an ImportError if it is not."""
    if importlib.util.find_spec("gradio") is None:
        raise MissingPackage("gradcam serve needs gradio: pip install 'gradcam-tf1[web]'")


def quiet_gradio(folder: str) -> Any:
    """The library of the page, told before it is imported to keep to itself, and its files in a folder."""
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1"}
    os.environ.update(quiet, GRADIO_TEMP_DIR=folder)
    import gradio

    return gradio


def check_address(host: str, port: int) -> None:
    """Whether a server could listen there now.

    Raises:
        ValueError: it is no port.
        OSError: another program does, or this machine has no such address.
    """
    if not 0 < port < 2**16:
        raise BadValue(f"--port must be from 1 to {2**16 - 1}, not {port}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(*found[:3]) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
            tried.bind(found[4])
    except OSError as error:
        raise Unreachable(f"cannot listen at {host}, port {port}: {error.strerror or error}") from error


def serve(args: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C; see `gradcam serve --help`."""
    from gradcam.cli.page import launch, page
    from gradcam.cli.studio import Studio

    with tempfile.TemporaryDirectory(prefix="gradcam-") as folder, Studio(_networks(args)) as studio:
        gradio = quiet_gradio(folder)
        blocks = page(studio, gradio)
        try:
            address = launch(blocks, gradio, args.host, args.port, int(args.max_upload * 2**20))
            print(f"{address} (Ctrl-C ends it)", flush=True)
            if args.host not in _OURS:
                tell("whoever can reach this machine can use the page")
            threading.Event().wait()
        finally:
            blocks.close(verbose=False)
    return 0


def _networks(args: argparse.Namespace) -> dict[str, Callable[[], slim_models.Network]]:
    """The network that is asked for, which is opened now, and those of this project whose weights are here."""
    given = chosen_network(args)
    others = {name: functools.partial(slim_models.open_network, name) for name in slim_models.NETWORKS if _here(name)}
    return {given.name: lambda: given, **{name: make for name, make in others.items() if name != given.name}}


def _here(name: str) -> bool:
    try:
        slim_models.find_weights(name)
    except FileNotFoundError:
        return False
    return True
