"""What the machine is."""

from __future__ import annotations

import os
import pathlib
import platform
from typing import Any

# What decides how fast matrices are multiplied.
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile")


def describe() -> dict[str, Any]:
    """The CPU and those of its abilities that matter, cores that may be used, memory, and Python's version."""
    cpu = _fields("/proc/cpuinfo")
    memory = _fields("/proc/meminfo").get("MemTotal", "")
    flags = cpu.get("flags", "").split()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": cpu.get("model name") or platform.processor() or "unknown",
        "family_model_stepping": [cpu.get(name, "?") for name in ("cpu family", "model", "stepping")],
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": cores,
        "memory_gb": round(int(memory.split()[0]) * 1024 / 1e9, 1) if memory else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        # Runs of other programs in the minute before: with more than a few tenths, times mean little.
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _fields(path: str) -> dict[str, str]:
    """`name: value` of the lines of a file; the first of each name. Empty where the system has no such file."""
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = [line.partition(":") for line in lines if ":" in line]
    return {name.strip(): value.strip() for name, _, value in reversed(pairs)}
