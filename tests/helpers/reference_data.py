"""Where the small references that a real Caffe wrote lie."""

import pathlib

DATA = pathlib.Path(__file__).parents[1] / "data"
