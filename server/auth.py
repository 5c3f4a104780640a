"""API keys: who calls is known before anything is spent."""

import hashlib
import hmac
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.caller import Caller
from engine.errors import ConfigError, Unauthorized
from engine.settings import Settings
from server.errors import problem

OPEN = frozenset({"/", "/ok", "/info", "/metrics", "/docs", "/openapi.json"})
LOCAL = Caller(identity="local", tenant="default", trusted=True)
"""Everybody, in development on loopback when no keys are set."""


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
        self._open = not self._keys and not settings.production

    def caller(self, headers: Headers) -> Caller:
        """Who holds the key in these headers. Raises `Unauthorized`."""
        if self._open:
            return LOCAL
        scheme, _, token = headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        for secret in (headers.get("x-api-key", ""), bearer):
            if caller := self._match(secret):
                return caller
        raise Unauthorized

    def _match(self, secret: str) -> Caller | None:
        """Compares with every key, in constant time, so that timing tells nothing."""
        digest = _digest(secret)
        found = [key.caller for key in self._keys if hmac.compare_digest(key.digest, digest)]
        return found[0] if found else None


class Authentication:
    """ASGI: puts the caller into the scope, or answers 401."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                caller = self._keys.caller(Headers(scope=scope))
            except Unauthorized as error:
                await problem(error)(scope, receive, send)
                return
            scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)


def _key(text: str) -> Key:
    parts = text.split(":", 2)
    if len(parts) != 3 or parts[1] not in {"trusted", "public"} or not all(parts):
        raise ConfigError(
            "FRONTDESK_API_KEYS: each key is `tenant:trusted:secret` or `tenant:public:secret`."
        )
    tenant, kind, secret = parts
    digest = _digest(secret)
    identity = f"{tenant}:{kind}:{digest.hex()[:8]}"
    return Key(Caller(identity, tenant, trusted=kind == "trusted"), digest)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
