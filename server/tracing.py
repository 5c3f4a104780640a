"""Makes a span of each request, in the trace that the caller may have begun."""

from opentelemetry.trace import StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.telemetry import Tracing


class Requests:
    """ASGI: a span from the first byte of a request to the last of its answer, streams included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        tracing: Tracing = scope["app"].state.engine.tracing
        if not tracing.on:
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        with tracing.request(
            method, Headers(scope=scope), {"http.request.method": method}
        ) as opened:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    if path := getattr(scope.get("route"), "path", None):
                        opened.update_name(f"{method} {path}")
                        opened.set_attribute("http.route", path)
                    opened.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        opened.set_status(StatusCode.ERROR)
                await send(message)

            await self._app(scope, receive, told)
