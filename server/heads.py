"""HEAD is answered like GET, without the body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Heads:
    """ASGI: what answers GET also answers HEAD, and is told that nobody reads on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        told = False

        async def receive_until_told() -> Message:
            return {"type": "http.disconnect"} if told else await receive()

        async def send_head(message: Message) -> None:
            nonlocal told
            if message["type"] == "http.response.start":
                await send(message)
            elif not told:
                told = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app({**scope, "method": "GET"}, receive_until_told, send_head)
