"""Signatures of webhooks, as standardwebhooks.com has them, with the ids of the keys."""

import base64
import hashlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import ConfigError

_ALONE = "default"


@dataclass(frozen=True)
class Signer:
    """Signs with every key, id and secret: a receiver checks the signature of a key that it has.

    So keys are exchanged without a break: add the new one, let receivers know it, drop the old.
    """

    keys: Sequence[tuple[str, str]] = ()

    @classmethod
    def of(cls, text: str) -> "Signer":
        """From `id:secret`, separated by commas; a secret alone has the id `default`.

        Raises `ConfigError` for an id that is given twice, or empty.
        """
        keys = [_key(part.strip()) for part in text.split(",") if part.strip()]
        ids = [id_ for id_, _ in keys]
        if len(set(ids)) < len(ids) or not all(id_ and secret for id_, secret in keys):
            raise ConfigError("FRONTDESK_WEBHOOK_SECRET: each key is `id:secret`, each id its own.")
        return cls(keys)

    def headers(self, message_id: str, content: bytes) -> dict[str, str]:
        """`v1,` and HMAC-SHA256 of `{id}.{timestamp}.{content}` in base64, once for each key."""
        if not self.keys:
            return {}
        now = str(int(time.time()))
        signed = f"{message_id}.{now}.".encode() + content
        return {
            "webhook-id": message_id,
            "webhook-timestamp": now,
            "webhook-signature": " ".join(_signature(secret, signed) for _, secret in self.keys),
            "webhook-key-id": " ".join(id_ for id_, _ in self.keys),
        }


def _key(text: str) -> tuple[str, str]:
    id_, colon, secret = text.partition(":")
    return (id_, secret) if colon else (_ALONE, text)


def _signature(secret: str, signed: bytes) -> str:
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
