"""Runs any graph durably, and knows nothing about customer support."""
