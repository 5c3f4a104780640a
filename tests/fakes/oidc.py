"""An OpenID Connect provider: publishes its keys and signs tokens with them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.serving import serving


@dataclass
class Provider:
    """What tests may turn: its keys by id, whether it answers, what else it says instead of keys.

    It counts who asks for keys.
    """

    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)
    url: str = ""
    away: bool = False
    asked: int = 0
    said: Any = None

    def rotate(self, kid: str) -> None:
        """From now on this is its only key."""
        self.keys = {kid: rsa.generate_private_key(public_exponent=65537, key_size=2048)}

    def token(self, **claims: Any) -> str:
        """Valid for a minute, unless the claims say otherwise; None leaves a claim out."""
        kid, key = next(iter(self.keys.items()))
        now = int(time.time())
        said = {"iss": self.url, "aud": "desk", "sub": "ann", "iat": now, "exp": now + 60}
        said = {name: value for name, value in (said | claims).items() if value is not None}
        return jwt.encode(said, key, algorithm="RS256", headers={"kid": kid})

    async def discovery(self, _: Request) -> Response:
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    async def published(self, _: Request) -> Response:
        self.asked += 1
        if self.away:
            return Response(status_code=503)
        if self.said is not None:
            return JSONResponse(self.said)
        rows = [
            {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
            for kid, key in self.keys.items()
        ]
        return JSONResponse({"keys": rows})


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """One that listens."""
    made = Provider()
    made.rotate("first")
    routes = [
        Route("/.well-known/openid-configuration", made.discovery),
        Route("/keys", made.published),
    ]
    async with serving(Starlette(routes=routes)) as url:  # type: ignore[arg-type]
        made.url = url
        yield made
