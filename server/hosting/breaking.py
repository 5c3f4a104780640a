"""An answer of ours that breaks off does so for its reader too, whatever middleware is between.

Clients come back to an answer that was cut. Middleware that copies an answer, as Starlette's
`BaseHTTPMiddleware` does, gives it a good end and raises afterwards: half an answer looks whole.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BROKEN = "frontdesk.broken"


class Breaking:
    """ASGI, around our app: notes when an answer has begun and does not end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        broken = False

        async def noted(message: Message) -> None:
            nonlocal broken
            broken = message.get("more_body", message["type"] == "http.response.start")
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            if broken:
                scope[_BROKEN].append(True)


class Broken:
    """ASGI, around the middleware: withholds the end of an answer that has none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        broken = scope[_BROKEN] = list[bool]()  # a list, as apps on the way copy the scope

        async def honest(message: Message) -> None:
            if not broken or message.get("more_body") or message["type"] != "http.response.body":
                await send(message)

        await self._app(scope, receive, honest)
