"""Listens until the process is told to stop."""

from typing import Any

import uvicorn
from fastapi import FastAPI

from server.garbage import spare

_LAST_BYTES_SECONDS = 2  # for answers that are on their way when everything else has ended


class Listener(uvicorn.Server):
    """Uvicorn, but runs and streams come to a good end before their connections do."""

    def __init__(self, app: FastAPI, *, host: str = "127.0.0.1", port: int = 0) -> None:
        config = uvicorn.Config(
            app,
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
        """Whoever is connected still reads to the end of the super-step, and where to go on."""
        if not self.force_exit and (engine := getattr(self._state, "engine", None)):
            await engine.drain()
        await super().shutdown(sockets)
