"""The PyTorch written by hand, but with its batch norm left where a plain torchvision model has it."""

from __future__ import annotations

from peers import plain_torch


class Peer(plain_torch.Peer):
    """See `peers`."""

    fold = False
