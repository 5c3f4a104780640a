"""Lets the code of a graph call the API that it runs in: the SDK's `get_client()` without a URL."""

import os
from typing import Any

import httpx
from langgraph_sdk._async import client as sdk
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.caller import Caller
from engine.scope import scope as running
from server.auth.handlers import asked_of, known

INSIDE = "frontdesk.inside"
"""In the scope of such requests. None that comes through a socket can have it."""

_NAME = "inside"


class Inside:
    """ASGI: requests of our own process, without a credential.

    With handlers they come from whom the run belongs to that asks, or the handler that does: it
    sees no more by asking here. Others come from a trusted caller of the tenant.
    """

    def __init__(self, app: ASGIApp, prefix: str, *, handlers: bool) -> None:
        self._app = app
        self._prefix = prefix
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = self._prefix + scope["path"]
        ours: Any = {
            "root_path": "",
            "path": path,
            "raw_path": path.encode(),
            "state": {"caller": self._caller()},
            INSIDE: True,
        }
        await self._app({**scope, **ours}, receive, send)

    def _caller(self) -> Caller:
        if self._handlers and (asking := asked_of.get()):
            return asking
        run = running.get()
        user = run.user if run else {}
        if self._handlers and user and user.get("identity") != _NAME:
            return known(user)
        return Caller(_NAME, (run.tenant if run else "") or "default", trusted=True)


class _Connected(list[httpx.ASGITransport]):
    """Where the SDK registers transports of clients without a URL: they get their app at once."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._inside = app

    def append(self, transport: httpx.ASGITransport) -> None:
        transport.app = self._inside


def prepare() -> None:
    """Clients without a URL can be made before there is an app, such as by a project's modules."""
    os.environ["__LANGGRAPH_DEFER_LOOPBACK_TRANSPORT"] = "true"
    vars(sdk)["get_asgi_transport"] = lambda: httpx.ASGITransport  # not another server's


def connect(app: ASGIApp, prefix: str = "", *, handlers: bool = False) -> None:
    """From now on clients without a URL, also those made before, call this app."""
    prepare()
    inside = Inside(app, prefix, handlers=handlers)
    for transport in vars(sdk)["_registered_transports"]:
        transport.app = inside
    vars(sdk)["_registered_transports"] = _Connected(inside)
