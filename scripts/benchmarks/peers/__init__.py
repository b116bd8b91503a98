"""Who is measured by `benchmark.py`: this project and the libraries that make the same maps, one module each.

A module `peers/NAME.py` has a

    class Peer:
        def __init__(self, network: str, weights: Mapping[str, np.ndarray], precision: str): ...
        def run(self, task: str, images: np.ndarray, targets: np.ndarray | None) -> dict[str, np.ndarray]: ...

which builds the network with the arrays of our weight files and two threads. `run` takes RGB `[N, 224, 224, 3]` in
[0, 255], as float32, and one class for each picture, or None for the predicted ones; it returns, as the task wants
them, `cam`, `[N, h, w]` >= 0 of any size and scale, at the network's default layer, and `guided`, `[N, 224, 224, 3]`
in RGB. The task `classes` takes one picture and K classes and returns the K cams.

Such a module imports its library, so only the process that measures it, `peers.worker`, imports the module; what
must be known before is in the table here.
"""

from __future__ import annotations

import dataclasses
import importlib.util

TASKS = ("cam", "guided", "both", "classes")
PRECISIONS = ("float32", "bfloat16")
OURS = "ours"


@dataclasses.dataclass(frozen=True)
class PeerInfo:
    """What is known of a peer without importing it.

    Attributes:
        title: in tables.
        requires: the modules that must be importable.
        precisions: of `PRECISIONS`, those that it can work in.
        tasks: of `TASKS`, those that it can do.
        networks: those that it is for; None is all.
        reads_files: whether `weights` is the name of one of our weight files, in place of its arrays.
    """

    title: str
    requires: tuple[str, ...]
    precisions: tuple[str, ...] = ("float32",)
    tasks: tuple[str, ...] = TASKS
    networks: tuple[str, ...] | None = None
    reads_files: bool = False

    def missing(self) -> list[str]:
        """Those of `requires` that are not installed."""
        return [name for name in self.requires if importlib.util.find_spec(name) is None]

    def takes(self, network: str, precision: str) -> bool:
        """Whether it can be measured with the network in the precision."""
        return precision in self.precisions and (self.networks is None or network in self.networks)


_CAMS = ("cam", "classes")
_FULL = ("vgg16", "resnet_v1_50")  # what the libraries are measured with

PEERS = {
    OURS: PeerInfo("gradcam (ours)", ("tensorflow", "tf_slim"), PRECISIONS, reads_files=True),
    "plain_torch": PeerInfo("plain PyTorch", ("torch",), PRECISIONS),
    "plain_torch_unfolded": PeerInfo(
        "plain PyTorch, batch norm left in", ("torch",), PRECISIONS, networks=("resnet_v1_50",)
    ),
    "captum": PeerInfo("captum", ("torch", "captum"), PRECISIONS, networks=_FULL),
    "pytorch_grad_cam": PeerInfo("pytorch-grad-cam", ("torch", "pytorch_grad_cam"), networks=_FULL),
    "torchcam": PeerInfo("torch-cam", ("torch", "torchcam"), PRECISIONS, _CAMS, networks=_FULL),
    "public_tf1": PeerInfo("public TF1 script", ("tensorflow",), PRECISIONS, networks=_FULL),
    "tf_keras_vis": PeerInfo("tf-keras-vis", ("tensorflow", "tf_keras_vis"), networks=_FULL),
    "tf_explain": PeerInfo("tf-explain", ("tensorflow", "tf_explain"), tasks=_CAMS, networks=_FULL),
    "xplique": PeerInfo("xplique", ("tensorflow", "xplique"), networks=_FULL),
}
