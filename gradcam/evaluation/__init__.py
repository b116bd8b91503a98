"""Maps judged over a data set: what is measured, the run, the estimates and their charts.

`running` measures every picture by one of `localization`, `pointing` and `faithfulness`, `report` writes what it comes
to; `sanity` makes networks forget instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from gradcam.evaluation.charts import (
        SERIES as SERIES,
        intervals as intervals,
        similarity_curves as similarity_curves,
    )
    from gradcam.evaluation.checking import Checks as Checks, check as check
    from gradcam.evaluation.elsewhere import Elsewhere as Elsewhere
    from gradcam.evaluation.estimates import (
        Estimate as Estimate,
        Table as Table,
        as_rows as as_rows,
        as_text as as_text,
        columns_of as columns_of,
        counts_of as counts_of,
        estimate as estimate,
        estimate_of_classes as estimate_of_classes,
        in_columns as in_columns,
    )
    from gradcam.evaluation.faithfulness import METRICS as METRICS, Faithfulness as Faithfulness
    from gradcam.evaluation.journal import Journal as Journal, Row as Row, read_journal as read_journal
    from gradcam.evaluation.judging import (
        USUAL as USUAL,
        Usual as Usual,
        Verdict as Verdict,
        usual_of as usual_of,
        verdicts as verdicts,
    )
    from gradcam.evaluation.localization import (
        PLACE_METRICS as PLACE_METRICS,
        RESIZINGS as RESIZINGS,
        BoxProtocol as BoxProtocol,
        Localization as Localization,
    )
    from gradcam.evaluation.pointing import PROTOCOLS as PROTOCOLS, Pointing as Pointing
    from gradcam.evaluation.report import write_run as write_run
    from gradcam.evaluation.running import (
        Batch as Batch,
        Choices as Choices,
        Measure as Measure,
        Run as Run,
        evaluate as evaluate,
        require_boxes as require_boxes,
        run as run,
    )
    from gradcam.evaluation.sanity import (
        KINDS as KINDS,
        heatmaps as heatmaps,
        parameter_layers as parameter_layers,
        randomization_test as randomization_test,
        unrelated as unrelated,
    )

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "charts": "SERIES intervals similarity_curves",
        "checking": "Checks check",
        "elsewhere": "Elsewhere",
        "estimates": "Estimate Table as_rows as_text columns_of counts_of estimate estimate_of_classes in_columns",
        "faithfulness": "METRICS Faithfulness",
        "journal": "Journal Row read_journal",
        "localization": "PLACE_METRICS RESIZINGS BoxProtocol Localization",
        "pointing": "PROTOCOLS Pointing",
        "report": "write_run",
        "running": "Batch Choices Measure Run evaluate require_boxes run",
        "sanity": "KINDS heatmaps parameter_layers randomization_test unrelated",
        "judging": "USUAL Usual Verdict usual_of verdicts",
    },
)
