"""The thread protocol ("event streaming", v2): a thread's channels for commands and events."""
