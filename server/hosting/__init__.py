"""A project's place in our server: its app, its handlers, and how its file wants to be served."""
