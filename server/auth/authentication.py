"""Who calls is known before anything is spent: by the project's own code, a key, or a token."""

import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.caller import Caller
from engine.errors import ConfigError, FrontdeskError, Unauthorized
from engine.keys import ApiKeys, digest
from engine.settings import LOOPBACK, Settings
from server.auth.handlers import Handlers, studio
from server.auth.lasting import Lasting
from server.auth.tokens import Terms, Tokens
from server.errors import problem
from server.hosting.loopback import INSIDE
from server.limits import read_body, replay

log = logging.getLogger(__name__)

OPEN = frozenset({"/", "/ok", "/info", "/metrics", "/docs", "/openapi.json"})
CLOSED = "frontdesk.closed"
"""In the scope of requests for a project's own route that only known callers may use."""

LOCAL = Caller(identity="local", tenant="default", trusted=True)
"""Everybody, in development on loopback while no key was ever made."""


@dataclass(frozen=True)
class Key:
    """One key, of which only the digest stays in memory."""

    caller: Caller
    digest: bytes


class Keys:
    """The keys from `tenant:trusted:secret` or `tenant:public:secret`, separated by commas."""

    def __init__(self, settings: Settings) -> None:
        """Raises `ConfigError` for a key of another shape."""
        text = settings.api_keys.get_secret_value()
        self._keys = [_key(part.strip()) for part in text.split(",") if part.strip()]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, secret: str) -> Caller | None:
        """Compares with every key, in constant time, so that timing tells nothing."""
        asked = digest(secret)
        found = [key.caller for key in self._keys if hmac.compare_digest(key.digest, asked)]
        return found[0] if found else None


class Door:
    """Knows the callers of one server."""

    def __init__(
        self, settings: Settings, handlers: Handlers | None = None, *, studio_auth: bool = True
    ) -> None:
        """`studio_auth`: whether Studio may come in past the handlers, in development on loopback.

        Raises `ConfigError`.
        """
        if handlers:
            handlers.check()
        self.handlers = handlers
        self._keys = Keys(settings)
        terms = Terms.of(settings)
        self._tokens = Tokens(terms) if terms else None
        development = not settings.production and settings.host in LOOPBACK
        self._studio = studio_auth and development
        self._may_be_open = development and not self._keys and self._tokens is None

    async def caller(self, connection: HTTPConnection, body: bytes, made: ApiKeys) -> Caller:
        """Whoever calls; `made` are the keys in the database. Raises `Unauthorized` or others."""
        if self.handlers:
            if self._studio and _is_studio(connection):
                return studio()
            return await self.handlers.caller(connection, body)
        headers = connection.headers
        bearer = _bearer(headers)
        for secret in (headers.get("x-api-key", ""), bearer):
            if secret and (caller := self._keys.find(secret)):
                return caller
            if secret and (key := await made.find(secret)):
                return key.caller()
        if self._tokens and bearer.count(".") == 2:
            return await self._tokens.caller(bearer)
        if self._may_be_open and not await made.ever_made():
            return LOCAL
        raise Unauthorized

    async def warn(self, made: ApiKeys) -> None:
        """Say so where nobody can get in."""
        ways = self.handlers or self._keys or self._tokens or self._may_be_open
        if not ways and not await made.exist():
            log.warning(
                "There is no credential, so nobody can call: make one with `frontdesk keys create`."
            )

    @property
    def wants_body(self) -> bool:
        return self.handlers is not None and self.handlers.wants_body


class Authentication:
    """ASGI: puts the caller into the scope, or answers with why it does not."""

    def __init__(self, app: ASGIApp, door: Door, max_bytes: int) -> None:
        self._app = app
        self._door = door
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = scope["type"] not in {"http", "websocket"} or INSIDE in scope
        if known or (scope["path"] in OPEN and CLOSED not in scope):
            await self._app(scope, receive, send)
            return
        connection, body = HTTPConnection(scope), b""
        try:
            if scope["type"] == "http" and self._door.wants_body:
                body = await read_body(connection.headers, receive, self._max_bytes)
                receive = replay(body, receive)
            keys: ApiKeys = scope["app"].state.keys
            caller = await self._door.caller(connection, body, keys)
        except FrontdeskError as error:
            await _refuse(error, scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["caller"], state["lasting"] = caller, Lasting(caller, keys)
        if scope["type"] == "websocket":  # which may be open for longer than its caller may call
            state["authenticate"] = partial(self._door.caller, connection, b"", keys)
        await self._app(scope, receive, send)


async def _refuse(error: FrontdeskError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await problem(error)(scope, receive, send)
        return
    closed: Message = {"type": "websocket.close", "code": 1008, "reason": str(error)}
    await send(closed)  # before it is accepted: the client gets a 403


def _is_studio(connection: HTTPConnection) -> bool:
    """Only from this machine, and not through a proxy on it: the header proves nothing."""
    headers = connection.headers
    if headers.get("x-auth-scheme") != "langsmith" or connection.client is None:
        return False
    if "forwarded" in headers or "x-forwarded-for" in headers:
        return False
    try:
        return ip_address(connection.client.host).is_loopback
    except ValueError:
        return False


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _key(text: str) -> Key:
    parts = text.split(":", 2)
    if len(parts) != 3 or parts[1] not in {"trusted", "public"} or not all(parts):
        raise ConfigError(
            "FRONTDESK_API_KEYS: each key is `tenant:trusted:secret` or `tenant:public:secret`."
        )
    tenant, kind, secret = parts
    hashed = digest(secret)
    identity = f"{tenant}:{kind}:{hashed.hex()[:8]}"
    return Key(Caller(identity, tenant, trusted=kind == "trusted"), hashed)
