"""How signals go back through a network.

Rules at its ReLUs, which activations obey them, and which operations lie on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from slim_models.backward.rules import (
        MARKS as MARKS,
        RULES as RULES,
        gradients as gradients,
        marked as marked,
        marked_relus as marked_relus,
        refusal as refusal,
    )
    from slim_models.backward.shared_forward import read_by_backward as read_by_backward
    from slim_models.backward.walks import (
        VARIABLES as VARIABLES,
        depending as depending,
        operations_between as operations_between,
        reached as reached,
        readers as readers,
        signal_path as signal_path,
        source as source,
    )

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "rules": "MARKS RULES gradients marked marked_relus refusal",
        "shared_forward": "read_by_backward",
        "walks": "VARIABLES depending operations_between reached readers signal_path source",
    },
)
