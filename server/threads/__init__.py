"""Threads over HTTP: themselves, their state and history, and a stream of all their runs."""
