"""What a caller may do, asked by every route before it calls the engine."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from engine.caller import Caller
from engine.errors import Forbidden
from server.auth.handlers import Handlers
from server.hosting.loopback import INSIDE

_READS = frozenset({"read", "search", "get", "list_namespaces"})
_CONVERSATION = frozenset(
    {"assistants:read", "threads:read", "threads:write", "runs:read", "runs:write"}
)
_KINDS: Mapping[str, frozenset[str]] = {
    "public": _CONVERSATION,
    "user": _CONVERSATION | {"store:read", "store:write"},
}


class Access:
    """Asks for one request. `headers` are those of it that the project's graphs want to find."""

    def __init__(
        self,
        caller: Caller,
        handlers: Handlers | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._caller = caller
        self._handlers = handlers
        self.headers = headers or {}

    @classmethod
    def of(cls, connection: HTTPConnection) -> "Access":
        """For a request or a WebSocket that has come through the door."""
        state = connection.app.state
        headers = state.hosted.headers.of_request(connection.headers)
        caller = connection.state.caller
        past = INSIDE in connection.scope and caller.user is None
        return cls(caller, None if past else state.handlers, headers)

    async def __call__(self, resource: str, action: str, value: dict[str, Any]) -> Caller:
        """The caller, as whom to call the engine.

        `value` is what is asked for, in the shapes of `langgraph_sdk.auth.types`; whoever decides
        may change it in place (an owner in its metadata, a store's namespace), so the route goes
        on with what is in it afterwards. Raises `Forbidden`.
        """
        if self._handlers is not None:
            wanted = await self._handlers.allow(self._caller, resource, action, value)
            return replace(self._caller, filter=wanted)
        needed = scope(resource, action)
        if not _may(self._caller, needed):
            raise Forbidden(f"This credential may not do that: it needs the scope {needed}.")
        return self._caller

    @property
    def has_handlers(self) -> bool:
        """Whether the project's own code decides."""
        return self._handlers is not None

    def always(self, resource: str, action: str) -> bool:
        """Whether it is allowed whatever the value is, and the value stays as it is."""
        return self._handlers is None and _may(self._caller, scope(resource, action))


def scope(resource: str, action: str) -> str:
    """What a key must be allowed for this."""
    if action == "create_run":
        return "runs:write"
    return f"{resource}:{'read' if action in _READS else 'write'}"


def _may(caller: Caller, needed: str) -> bool:
    allowed = caller.scopes
    if allowed is None:
        if caller.trusted:
            return True
        allowed = _KINDS["user" if caller.alone else "public"]
    return needed in allowed


async def _access(request: Request) -> Access:
    return Access.of(request)


Asks = Annotated[Access, Depends(_access)]
