"""Runs over HTTP: asked for, followed, waited for and stopped."""
