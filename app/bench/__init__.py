"""Benchmarks: `inferwatch bench NAME`, one file each, one form of result."""
