"""LangGraph checkpointers. A library of its own: it imports nothing of the other packages."""
