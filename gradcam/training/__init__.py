"""Fixed pictures explained while a network learns, for TensorBoard: in TensorFlow 1's training loops and in Keras'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from gradcam.training.callback import ExplainCallback as ExplainCallback
    from gradcam.training.hook import ExplainHook as ExplainHook

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "callback": "ExplainCallback",
        "hook": "ExplainHook",
    },
)
