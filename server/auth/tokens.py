"""End users' tokens (JWT), as an OpenID Connect provider signs them."""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
from jwt.exceptions import PyJWTError

from engine.caller import Caller
from engine.errors import Unauthorized, Unavailable
from engine.settings import Settings

log = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""None that a provider's public key could be used as a secret for."""

_FRESH_SECONDS = 3600.0
_AGAIN_SECONDS = 10.0  # at most so often a key that is not known makes us ask
_FETCH_SECONDS = 5.0
_NO_KEYS = (AttributeError, LookupError, TypeError, ValueError)  # JSON of another shape, or none


@dataclass(frozen=True)
class Terms:
    """Which tokens count, and what their claims mean."""

    issuer: str
    audience: str
    jwks_url: str | None
    leeway: float
    tenant: str
    tenant_claim: str
    customer_claim: str

    @classmethod
    def of(cls, settings: Settings) -> "Terms | None":
        """None where no issuer is set."""
        if settings.jwt_issuer is None:
            return None
        return cls(
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience or "",
            jwks_url=settings.jwt_jwks_url,
            leeway=settings.jwt_leeway_seconds,
            tenant=settings.jwt_tenant,
            tenant_claim=settings.jwt_tenant_claim,
            customer_claim=settings.jwt_customer_claim,
        )


class Tokens:
    """Recognises them by the provider's keys, which are asked for once an hour."""

    def __init__(
        self, terms: Terms, *, fresh: float = _FRESH_SECONDS, again: float = _AGAIN_SECONDS
    ) -> None:
        """`fresh`: seconds after which keys are read anew; `again`: the least between two reads."""
        self._terms = terms
        self._fresh, self._again = fresh, again
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = float("-inf")
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def caller(self, token: str) -> Caller:
        """Whom it speaks for. Raises `Unauthorized`, or `Unavailable` while no keys are known."""
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError as error:
            raise Unauthorized(f"This token cannot be read: {error}.") from error
        key = await self._key(str(header.get("kid") or ""))
        terms = self._terms
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=terms.issuer,
                audience=terms.audience,
                leeway=terms.leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except PyJWTError as error:
            raise Unauthorized(f"This token is not valid: {error}.") from error
        return self._meant(claims)

    def _meant(self, claims: dict[str, Any]) -> Caller:
        terms = self._terms
        tenant = claims.get(terms.tenant_claim) if terms.tenant_claim else terms.tenant
        if not isinstance(tenant, str) or not tenant:
            raise Unauthorized(f"This token has no claim `{terms.tenant_claim}`.")
        customer = claims.get(terms.customer_claim) if terms.customer_claim else None
        scopes = str(claims.get("scope") or "").split()
        return Caller(
            identity=f"user:{claims['sub']}",
            tenant=tenant,
            trusted=False,
            permissions=("user", *scopes),
            alone=True,
            customer_id=None if customer is None else str(customer),
            expires_at=float(claims["exp"]) + terms.leeway,
        )

    async def _key(self, kid: str) -> jwt.PyJWK:
        if not self._chosen(kid) or (self._is_stale and not self._asking.locked()):
            async with self._asking:  # without its key it waits for what another one is told
                rested = time.monotonic() - self._asked_at > self._again
                if rested and (not self._chosen(kid) or self._is_stale):
                    await self._ask()
        if (known := self._chosen(kid)) is None:
            if not self._keys:
                raise Unavailable("The keys of the token's issuer cannot be had right now.")
            raise Unauthorized("This token is signed with a key that its issuer does not publish.")
        return known

    @property
    def _is_stale(self) -> bool:
        return time.monotonic() - self._read_at > self._fresh

    def _chosen(self, kid: str) -> jwt.PyJWK | None:
        """The key of that name; the only one for a token that names none."""
        if not kid and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)

    async def _ask(self) -> None:
        """Keys that are known stay while the provider is away."""
        try:
            async with httpx.AsyncClient(timeout=_FETCH_SECONDS, follow_redirects=True) as client:
                url = self._terms.jwks_url or await self._discover(client)
                answer = (await client.get(url)).raise_for_status()
                found = jwt.PyJWKSet.from_dict(answer.json())
        except (httpx.HTTPError, PyJWTError, *_NO_KEYS) as error:
            log.warning("the keys of %s cannot be read: %s", self._terms.issuer, error)
            return
        finally:
            self._asked_at = time.monotonic()
        self._keys = {key.key_id or "": key for key in found.keys if key.public_key_use != "enc"}
        self._read_at = time.monotonic()

    async def _discover(self, client: httpx.AsyncClient) -> str:
        issuer = self._terms.issuer.rstrip("/")
        answer = await client.get(f"{issuer}/.well-known/openid-configuration")
        return str(answer.raise_for_status().json()["jwks_uri"])
