"""A2A 0.3 and 1.0: what clients send and read, and their agents' tasks."""
