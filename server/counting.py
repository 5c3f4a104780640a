"""Counts answered requests for /metrics."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Counting:
    """ASGI: by method, route and status; what has no route is counted together."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                path = route.path if route else "unmatched"
                requests = scope["app"].state.engine.metrics.requests
                requests.labels(scope["method"], path, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, counted)
