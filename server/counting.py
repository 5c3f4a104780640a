"""Counts answered requests for /metrics."""

from http import HTTPMethod

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = frozenset(HTTPMethod)  # whatever else clients call theirs would be a figure of its own


class Counting:
    """ASGI: by method, route and status; what has no route is counted together."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        requests = scope["app"].state.engine.metrics.requests  # a project's app may come behind

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                path = getattr(route, "path", "unmatched")
                method = scope["method"] if scope["method"] in _METHODS else "other"
                requests.labels(method, path, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counted)
