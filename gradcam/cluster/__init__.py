"""Work on many pictures by the workers of a Dask scheduler, in the pictures' order; the extra `cluster`.

Scheduler, queue and protocol are Dask's. `connecting` is the program's side, `working` the workers'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_models.lazy import lazy

if TYPE_CHECKING:
    from gradcam.cluster.connecting import Cluster as Cluster, connected as connected
    from gradcam.cluster.working import Job as Job

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "connecting": "Cluster connected",
        "working": "Job",
    },
)
