"""Rewrites of somebody's graph before it is imported again, each with one concern."""

from slim_models.loading.passes.channels_last import channels_last
from slim_models.loading.passes.cut import cut, settled, shared
from slim_models.loading.passes.float_input import float_input
from slim_models.loading.passes.free_batch import free_batch
from slim_models.loading.passes.graph import (
    PLACEHOLDERS,
    VARIABLES,
    Say,
    computed_from,
    imported,
    inferred,
    node_name,
    tensor_name,
    topological,
)
from slim_models.loading.passes.inlined import inlined
from slim_models.loading.passes.lightened import lightened, restore, variables_of
from slim_models.loading.passes.training import batch_dependent
from slim_models.loading.passes.unfused import unfused

__all__ = [
    "PLACEHOLDERS",
    "VARIABLES",
    "Say",
    "batch_dependent",
    "channels_last",
    "computed_from",
    "cut",
    "float_input",
    "free_batch",
    "imported",
    "inferred",
    "inlined",
    "lightened",
    "node_name",
    "restore",
    "settled",
    "shared",
    "tensor_name",
    "topological",
    "unfused",
    "variables_of",
]
