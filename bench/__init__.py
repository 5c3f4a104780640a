"""Measures what the README claims; each module is a command that prints its figures."""
