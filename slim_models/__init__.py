"""Networks that can be differentiated under several ReLU rules.

build(name) makes the `Network` of a name in `NETWORKS`; read_weights(path) and assign_weights(...)
give it its values; load(path) makes one of anybody's graph. gradients(ys, xs, rule) differentiates
either. `slim_models.downloads` fetches published weights; convert(source, destination) writes them in
another format.
"""

from slim_models.architectures import NETWORKS, Architecture, find_weights
from slim_models.assignment import assign_weights, check_weights
from slim_models.building import build
from slim_models.conversion import convert, write_weights
from slim_models.loading import load
from slim_models.named import network_named
from slim_models.network import PRECISIONS, Network
from slim_models.relu_gradients import RULES, gradients, marked_relus, refusal
from slim_models.shared_forward import read_by_backward
from slim_models.variants import build_for
from slim_models.weights import read_weights

__all__ = [
    "NETWORKS",
    "PRECISIONS",
    "RULES",
    "Architecture",
    "Network",
    "assign_weights",
    "build",
    "build_for",
    "check_weights",
    "convert",
    "find_weights",
    "gradients",
    "load",
    "marked_relus",
    "network_named",
    "read_by_backward",
    "read_weights",
    "refusal",
    "write_weights",
]
