"""A project of somebody else's: its `langgraph.json`, its packages, its code and its graphs."""
