"""A project's own app beside our routes: its routes come first, its middleware is around both."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.project.manifest import HttpPart
from server.auth.authentication import CLOSED
from server.hosting.breaking import Breaking, Broken

Guard = Callable[[ASGIApp], ASGIApp]
"""Puts authentication in front of an app."""


class As:
    """ASGI: in the name of another app, whose state is found in the scope."""

    def __init__(self, app: ASGIApp, whose: Any) -> None:
        self._app = app
        self._whose = whose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self._whose
        await self._app(scope, receive, send)


class Rest(BaseRoute):
    """Whatever the project has no route for."""

    def __init__(self, app: ASGIApp, theirs: Sequence[BaseRoute], ours: FastAPI) -> None:
        self._app = app
        self._theirs = theirs
        self._ours = ours

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Everything but their paths with another method, which then is theirs to refuse."""
        refused = _matched(self._theirs, scope) is Match.PARTIAL
        if refused and _matched(self._ours.router.routes, scope) is Match.NONE:
            return Match.NONE, {}
        return Match.FULL, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Our app."""
        await self._app(scope, receive, send)


class Beside:
    """ASGI: the project's app in front of ours.

    Callers of our routes are authenticated, before or behind the project's middleware; those of its
    own routes where it asks for that.
    """

    def __init__(
        self, app: ASGIApp, ours: FastAPI, theirs: Starlette, guard: Guard, http: HttpPart
    ) -> None:
        self._app = app
        self._routes = [route for route in theirs.router.routes if not isinstance(route, Rest)]
        self._everywhere = http.enable_custom_route_auth
        self._first = http.middleware_order == "auth_first"

        def guarded(inner: ASGIApp) -> ASGIApp:
            return As(guard(inner), ours)

        self._guarded = Broken(guarded(As(theirs, theirs)))
        self._open = Broken(theirs)
        app = Breaking(app)
        rest: ASGIApp = As(app, ours)
        if not self._first and self._everywhere:
            within: Any = lambda inner: guarded(As(inner, theirs))  # noqa: E731
            theirs.user_middleware.append(Middleware(within))
        elif not self._first:
            rest = guarded(app)
        theirs.router.routes[:] = [*self._routes, Rest(rest, self._routes, ours)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # ours opens theirs
            await self._app(scope, receive, send)
            return
        theirs = self._is_theirs(scope)
        if theirs and self._everywhere:
            scope[CLOSED] = True
        open_ = theirs and not self._everywhere
        app = self._guarded if self._first and not open_ else self._open
        await app(scope, receive, send)

    def _is_theirs(self, scope: Scope) -> bool:
        return _matched(self._routes, scope) is Match.FULL


def _matched(routes: Sequence[BaseRoute], scope: Scope) -> Match:
    """The best that one of them makes of it."""
    found = {route.matches(scope)[0] for route in routes}
    return next((one for one in (Match.FULL, Match.PARTIAL) if one in found), Match.NONE)


def without_documentation(theirs: Starlette) -> None:
    """Take away the pages that FastAPI adds by itself: ours have those routes too."""
    if isinstance(theirs, FastAPI):
        own = {theirs.openapi_url, theirs.docs_url, theirs.redoc_url}
        own.add(theirs.swagger_ui_oauth2_redirect_url)
        routes = theirs.router.routes
        routes[:] = [route for route in routes if getattr(route, "path", "") not in own]


def documented(document: dict[str, Any], theirs: Starlette) -> dict[str, Any]:
    """An OpenAPI document with the project's routes, which win."""
    if not isinstance(theirs, FastAPI):
        return document
    more = theirs.openapi()
    merged = dict(document)
    merged["paths"] = {**document["paths"], **more.get("paths", {})}
    ours = document.get("components", {})
    kinds = {*ours, *more.get("components", {})}
    merged["components"] = {
        kind: {**ours.get(kind, {}), **more.get("components", {}).get(kind, {})} for kind in kinds
    }
    return merged
