"""LangGraph checkpointers. A library of its own: it imports nothing of the other packages."""

from checkpoints.checkpointer import EPOCH
from checkpoints.errors import CheckpointError, Superseded
from checkpoints.expiry import Ttl
from checkpoints.official import import_official
from checkpoints.savers import PostgresCheckpointer, RedisCheckpointer, TieredCheckpointer
from checkpoints.sealing import Cipher
from checkpoints.store import open_store

__all__ = [
    "EPOCH",
    "CheckpointError",
    "Cipher",
    "PostgresCheckpointer",
    "RedisCheckpointer",
    "Superseded",
    "TieredCheckpointer",
    "Ttl",
    "import_official",
    "open_store",
]
