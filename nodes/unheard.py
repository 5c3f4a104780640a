"""Model calls that nobody hears: what is not validated must reach no stream, tracer or listener."""

from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config

QUIET: RunnableConfig = {"tags": ["nostream"]}
"""LangGraph's own mark for calls that its message streams leave out."""


@contextmanager
def unheard() -> Iterator[RunnableConfig]:
    """Hide the run's listeners from the calls made inside; the config to call with.

    Callbacks are inherited through a context variable, and a bound model merges those of the
    variable with the ones it is given, so an empty list of callbacks would not do.
    """
    token = var_child_runnable_config.set(None)
    try:
        yield QUIET
    finally:
        var_child_runnable_config.reset(token)
