"""Serves everything below a path."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Prefix:
    """ASGI: paths below the prefix lose it, others are not found but for /ok.

    Probes ask there, whatever the project wants.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or scope["path"] == "/ok":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            inner = path
            while inner == self._prefix or inner.startswith(f"{self._prefix}/"):
                inner = inner.removeprefix(self._prefix) or "/"  # the router would do it once more
            root = scope.get("root_path", "") + self._prefix
            below = {**scope, "path": inner, "raw_path": inner.encode(), "root_path": root}
            await self._app(below, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "Not Found"})
