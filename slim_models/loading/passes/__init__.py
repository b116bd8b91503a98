"""Somebody's graph made one that can be explained: a list of rewrites, each a module, over one `Graph`.

Modules have the names of their functions, so a name of either is asked of the module: `passes.cut.cut`.
"""

from slim_models.loading.passes.cut import apart, mean_of, shared
from slim_models.loading.passes.given import Given, fed
from slim_models.loading.passes.graph import (
    OF_PYTHON,
    OF_SHAPE,
    PIPELINES,
    PLACEHOLDERS,
    VARIABLES,
    Graph,
    Say,
    array_of,
    data_inputs,
    forget_shapes,
    imported,
    node_name,
    silent,
    upstream,
)
from slim_models.loading.passes.inference import stored_averages
from slim_models.loading.passes.inlined import ends
from slim_models.loading.passes.lightened import restore, variables_of
from slim_models.loading.passes.loops import while_contexts
from slim_models.loading.passes.order import PART, WHOLE, Found, rewritten
from slim_models.loading.passes.training import constant_of

__all__ = [
    "OF_PYTHON",
    "OF_SHAPE",
    "PART",
    "PIPELINES",
    "PLACEHOLDERS",
    "VARIABLES",
    "WHOLE",
    "Found",
    "Given",
    "Graph",
    "Say",
    "apart",
    "array_of",
    "constant_of",
    "data_inputs",
    "ends",
    "fed",
    "forget_shapes",
    "imported",
    "mean_of",
    "node_name",
    "restore",
    "rewritten",
    "shared",
    "silent",
    "stored_averages",
    "upstream",
    "variables_of",
    "while_contexts",
]
