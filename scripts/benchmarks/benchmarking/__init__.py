"""What `scripts/benchmarks/benchmark.py` is made of: the machine and its limits, the contests, the tables."""
