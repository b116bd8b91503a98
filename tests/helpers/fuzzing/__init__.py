"""Damaged files by the thousand, each made again by its number; `scripts/fuzz.py` and `tests/fuzz` run them."""
