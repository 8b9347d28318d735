"""Benchmarks: what closeout costs, beside targets and peers measured in the same run. ``python -m benchmarks``."""
