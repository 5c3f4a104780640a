"""One file, one step of a graph, its prompt beside it; `state` says what flows between."""
