"""Topology only: one file, one graph. No I/O and no prompts."""
