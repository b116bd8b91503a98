"""Our numbers beside another program's: Caffe's arrays, and the pictures of the paper's authors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from gradcam.comparison.agreement import Agreement as Agreement, Comparison as Comparison
    from gradcam.comparison.comparing import compare as compare
    from gradcam.comparison.conforming import (
        Candidates as Candidates,
        Match as Match,
        conformance as conformance,
        explained as explained,
        identify as identify,
        said as said,
        write_reference as write_reference,
    )
    from gradcam.comparison.references import LAYOUTS as LAYOUTS, check_layout as check_layout

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "agreement": "Agreement Comparison",
        "comparing": "compare",
        "conforming": "Candidates Match conformance explained identify said write_reference",
        "references": "LAYOUTS check_layout",
    },
)
