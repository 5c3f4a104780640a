"""Webhooks: what became of a run is posted to the address that its request named."""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from engine.claims import Ending, Run
from engine.errors import Invalid, Permanent, Unavailable
from engine.outbox import Follower
from engine.serialise import dumps

Json = dict[str, Any]

_LATER = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Webhooks:
    """Delivers them: signed if there is a `secret`; to our own network only if `private`.

    The signature is that of standardwebhooks.com: HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.
    {body}`, in base64 behind `v1,`.
    """

    secret: str
    private: bool
    seconds: float

    @property
    def follower(self) -> Follower:
        return Follower(self.deliver, carry=_carry)

    async def check(self, url: str) -> None:
        """Raise `Invalid` for an address that nothing can be posted to."""
        try:
            await self._address(_parsed(url))
        except (Permanent, Unavailable) as error:
            raise Invalid(str(error)) from error

    async def deliver(
        self,
        *,
        key: str,
        url: str,
        body: Json,
        started_at: str | None,
        ended_at: str,
        **_: Any,
    ) -> None:
        """Post it. Raises `Permanent` when the receiver will not have it, else what went wrong."""
        target = _parsed(url)
        sent = {
            **body,
            "run_started_at": started_at,
            "run_ended_at": ended_at,
            "webhook_sent_at": datetime.now(UTC).isoformat(),
        }
        content = dumps(sent)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        headers |= self._signed(key, content) | {"Host": target.netloc.decode()}
        # To the address that was checked: the name may mean another one a moment later.
        address = target.copy_with(host=await self._address(target))
        async with httpx.AsyncClient(timeout=self.seconds, trust_env=False) as client:
            named = {"sni_hostname": target.host}
            response = await client.post(
                address, content=content, headers=headers, extensions=named
            )
        if response.is_success:
            return
        said = f"the receiver answered {response.status_code}"
        if response.is_server_error or response.status_code in _LATER:
            raise Unavailable(said)
        raise Permanent(said)

    def _signed(self, key: str, content: bytes) -> dict[str, str]:
        if not self.secret:
            return {}
        now = str(int(time.time()))
        signed = f"{key}.{now}.".encode() + content
        digest = hmac.new(self.secret.encode(), signed, hashlib.sha256).digest()
        signature = "v1," + base64.b64encode(digest).decode()
        return {"webhook-id": key, "webhook-timestamp": now, "webhook-signature": signature}

    async def _address(self, url: httpx.URL) -> str:
        """An address of the URL's host; raises unless all of them may be posted to."""
        port = url.port or (443 if url.scheme == "https" else 80)
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Unavailable("Webhook host blocked: DNS resolution failed") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not self.private and not all(map(_is_public, addresses)):
            raise Permanent("Webhook host blocked: a private or loopback address")
        return addresses[0]


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return bool(mapped.is_global and not mapped.is_multicast)


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Permanent(f"webhook: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Permanent("webhook: an absolute http or https URL is needed")
    return parsed


def _carry(run: Run, ending: Ending) -> Json | None:
    url = run.kwargs.get("webhook")
    if not url:
        return None
    rolled_back = (ending.error or {}).get("error") == "UserRollback"
    body = {
        "run_id": str(run.run_id),
        "thread_id": str(run.thread_id),
        "assistant_id": str(run.assistant_id),
        "metadata": run.metadata,
        "status": "rollback" if rolled_back else ending.status,
        "kwargs": _shown(run.kwargs),
        "multitask_strategy": run.multitask_strategy,
        "created_at": run.created_at.isoformat(),
        "updated_at": run.updated_at.isoformat(),
        "langsmith_session_name": None,
        "values": None if run.kwargs.get("temporary") else ending.state.values,
    }
    if ending.status == "error":
        body["error"] = ending.error
    return {"url": url, "body": body}


def _shown(kwargs: Json) -> Json:
    """Without who asked."""
    config = kwargs["config"]
    shown = {
        key: value
        for key, value in config["configurable"].items()
        if not key.startswith("langgraph_auth_")
    }
    return {**kwargs, "config": {**config, "configurable": shown}}
