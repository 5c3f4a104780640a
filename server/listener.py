"""Listens until the process is told to stop."""

import logging
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from checkpoints import CheckpointError
from engine.errors import FrontdeskError
from server.garbage import spare

log = logging.getLogger(__name__)

_LAST_BYTES_SECONDS = 2  # for answers that are on their way when everything else has ended


def _unexpected(record: logging.LogRecord) -> bool:
    """Answers are cut on purpose when this process stops."""
    return "without completing response" not in record.getMessage()


class Told:
    """ASGI: of a start that fails for what the user can mend only that is told, without a trace."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            error = sys.exc_info()[1]  # the one that is being handled
            if isinstance(error, FrontdeskError | CheckpointError):
                log.debug("the start has failed", exc_info=error)
                message["message"] = str(error)
            await send(message)

        await self._app(scope, receive, told)


class Listener(uvicorn.Server):
    """Uvicorn, but runs and streams come to a good end before their connections do."""

    def __init__(self, app: FastAPI, *, host: str = "127.0.0.1", port: int = 0) -> None:
        config = uvicorn.Config(
            Told(app),
            host=host,
            port=port,
            log_config=None,  # as the process logs, so that exceptions do not quote customers
            access_log=False,
            timeout_graceful_shutdown=_LAST_BYTES_SECONDS,
        )
        super().__init__(config)
        self._state = app.state

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        spare()

    async def shutdown(self, sockets: Any = None) -> None:
        """Whoever is connected still reads to the end of the super-step; then they are cut off."""
        logging.getLogger("uvicorn.error").addFilter(_unexpected)
        if not self.force_exit and (engine := getattr(self._state, "engine", None)):
            await engine.drain()
        await super().shutdown(sockets)
