"""What a process says of itself: its age, its memory, its libraries; and how it is held to two processors."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import resource
import sys
import time
from collections.abc import Iterable
from typing import TextIO

THREADS = 2
_IMPORTED = time.time()
_DISTRIBUTIONS = {"pytorch_grad_cam": "grad-cam"}  # where it is not named like its module


def prepare() -> None:
    """Two processors and no GPU, whatever the library; to be called before it is imported."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["OMP_NUM_THREADS"] = str(THREADS)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])


def private_output() -> TextIO:
    """The standard output, which from now on nobody else writes to: what is printed goes to standard error."""
    sys.stdout.flush()
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return private


def seconds_since_start() -> float:
    """Since the process began, or, where the system does not tell, since this module was imported."""
    try:
        fields = pathlib.Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return time.time() - _IMPORTED


def peak_mb() -> float:
    """The most memory that the process has had, in megabytes of 10^6 bytes."""
    try:
        # getrusage also counts what the parent had when it started this process.
        lines = pathlib.Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        kilobytes = next(float(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kilobytes = peak / 1024 if sys.platform == "darwin" else peak
    return kilobytes * 1024 / 1e6


def versions(modules: Iterable[str]) -> dict[str, str]:
    """The versions of installed modules; `?` where nobody says."""
    found = {}
    for module in modules:
        try:
            found[module] = importlib.metadata.version(_DISTRIBUTIONS.get(module, module))
        except importlib.metadata.PackageNotFoundError:
            found[module] = str(getattr(sys.modules.get(module), "__version__", "?"))
    return found
