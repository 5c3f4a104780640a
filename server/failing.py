"""What nobody expected: it is logged, and whoever asked reads that it was not their fault."""

import logging

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)


class Failing:
    """ASGI: answers where nothing handled an exception, as readable elsewhere as other answers.

    Starlette would answer too, but outside of all middleware: a page of another site could not
    read it, and nothing would count it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def begin(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, begin)
        except Exception:
            if begun:
                raise
            log.exception("no answer to %s %s", scope["method"], scope["path"])
            answer = JSONResponse({"detail": "Internal Server Error"}, 500)
            await answer(scope, receive, send)
