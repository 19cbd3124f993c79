"""Ours beside other stores, end to end on the same vectors: `make bench-peers`."""
