"""Networks that can be differentiated under several ReLU rules.

build(name) makes the `Network` of a name in `NETWORKS`; read_weights(path) and assign_weights(...)
give it its values; gradients(ys, xs, rule) differentiates it.
"""

from slim_models.architectures import NETWORKS, Architecture, build, find_weights
from slim_models.assignment import assign_weights
from slim_models.network import Network
from slim_models.relu_gradients import RULES, gradients, marked_relus
from slim_models.weights import read_weights

__all__ = [
    "NETWORKS",
    "RULES",
    "Architecture",
    "Network",
    "assign_weights",
    "build",
    "find_weights",
    "gradients",
    "marked_relus",
    "read_weights",
]
