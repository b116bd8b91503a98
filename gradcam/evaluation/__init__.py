"""Maps judged over a data set: what is measured, the run, the estimates and their charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from gradcam.evaluation.charts import (
        SERIES as SERIES,
        intervals as intervals,
        similarity_curves as similarity_curves,
    )
    from gradcam.evaluation.estimates import Table as Table, as_rows as as_rows, as_text as as_text
    from gradcam.evaluation.faithfulness import Faithfulness as Faithfulness, correlations as correlations
    from gradcam.evaluation.localization import (
        RESIZINGS as RESIZINGS,
        BoxProtocol as BoxProtocol,
        Localization as Localization,
        classification_errors as classification_errors,
        localization_errors as localization_errors,
        require_boxes as require_boxes,
    )
    from gradcam.evaluation.pointing import Pointing as Pointing, accuracies as accuracies, recalls as recalls
    from gradcam.evaluation.run import (
        Journal as Journal,
        Measure as Measure,
        Row as Row,
        evaluate as evaluate,
        fingerprint as fingerprint,
    )
    from gradcam.evaluation.sanity import KINDS as KINDS, parameter_layers as parameter_layers

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "charts": "SERIES intervals similarity_curves",
        "estimates": "Table as_rows as_text",
        "faithfulness": "Faithfulness correlations",
        "localization": "RESIZINGS BoxProtocol Localization classification_errors localization_errors require_boxes",
        "pointing": "Pointing accuracies recalls",
        "run": "Journal Measure Row evaluate fingerprint",
        "sanity": "KINDS parameter_layers",
    },
)
