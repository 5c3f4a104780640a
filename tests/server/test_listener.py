import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI

from engine.errors import ConfigError
from server.listener import Listener


@pytest.mark.parametrize(
    ("error", "traced"), [(ConfigError("agent.py:3: no"), False), (KeyError("k"), True)]
)
async def test_a_start_that_fails_for_what_the_user_can_mend_is_told_without_a_trace(
    caplog: pytest.LogCaptureFixture, error: Exception, traced: bool
) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        raise error
        yield

    with caplog.at_level(logging.ERROR, "uvicorn.error"), pytest.raises(SystemExit):
        await Listener(FastAPI(lifespan=lifespan)).serve()
    said = caplog.records[0].getMessage()
    assert ("Traceback" in said) is traced
    if not traced:
        assert said == "agent.py:3: no"
