"""Who calls, and what they may do: keys, tokens, or the project's own handlers."""
