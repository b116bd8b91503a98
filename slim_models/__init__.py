"""Networks that can be differentiated under several ReLU rules.

open_network(name_or_path) is the one way in: a `Network` with its values, of a name in `NETWORKS`, of
anybody's file, or, of neither, one that knows the classes of ImageNet. inspect(name_or_path) tells all that is
found in one. build(name) builds one of ours, load(path) reads anybody's graph. gradients(ys, xs, rule)
differentiates either. download(name) fetches published weights; convert(source, destination) writes them in
another format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from slim_models.backward import (
        RULES as RULES,
        gradients as gradients,
        marked_relus as marked_relus,
        read_by_backward as read_by_backward,
        refusal as refusal,
    )
    from slim_models.builders import (
        DEFAULT_NETWORK as DEFAULT_NETWORK,
        NETWORKS as NETWORKS,
        PREPROCESSINGS as PREPROCESSINGS,
        Architecture as Architecture,
        build as build,
        build_for as build_for,
        find_weights as find_weights,
    )
    from slim_models.downloading import SOURCES as SOURCES, download as download
    from slim_models.heads import HEADS as HEADS
    from slim_models.labels import Labels as Labels, read_labels as read_labels
    from slim_models.loading import FoundTensor as FoundTensor, Inspection as Inspection, load as load
    from slim_models.mistakes import (
        BadValue as BadValue,
        MissingFile as MissingFile,
        MissingPackage as MissingPackage,
        Mistake as Mistake,
        UnknownName as UnknownName,
        Unreachable as Unreachable,
    )
    from slim_models.network import PRECISIONS as PRECISIONS, Network as Network
    from slim_models.opening import (
        inspect as inspect,
        network_named as network_named,
        open_network as open_network,
    )
    from slim_models.weights import (
        assign_weights as assign_weights,
        check_weights as check_weights,
        convert as convert,
        fingerprint as fingerprint,
        random_weights as random_weights,
        read_weights as read_weights,
        write_weights as write_weights,
    )

__version__ = "0.1.0"  # of both packages; setup.py and gradcam --version have it from here

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "backward": "RULES gradients marked_relus read_by_backward refusal",
        "builders": "DEFAULT_NETWORK NETWORKS PREPROCESSINGS Architecture build build_for find_weights",
        "downloading": "SOURCES download",
        "labels": "Labels read_labels",
        "loading": "FoundTensor Inspection load",
        "mistakes": "BadValue MissingFile MissingPackage Mistake UnknownName Unreachable",
        "heads": "HEADS",
        "network": "PRECISIONS Network",
        "opening": "inspect network_named open_network",
        "weights": "assign_weights check_weights convert fingerprint random_weights read_weights write_weights",
    },
)
