"""The command `gradcam`."""

from gradcam.cli.main import main

__all__ = ["main"]
