"""Our checkpointers beside the official one, the in-memory one, and one that stores nothing."""
