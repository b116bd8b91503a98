"""Moved into scripts/benchmarks/, from where this runs it."""

import pathlib
import runpy
import sys

FOLDER = pathlib.Path(__file__).parent / "benchmarks"

if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER))
    runpy.run_path(str(FOLDER / pathlib.Path(__file__).name), run_name="__main__")
