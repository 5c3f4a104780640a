"""One WebSocket's conversation: commands in, replies and events out, each event once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

from engine.caller import Caller
from engine.protocol.channels import Filter
from engine.protocol.commands import Refusal, check_channels, subscription_of
from engine.protocol.stream import ThreadStreams

Json = dict[str, Any]

Send = Callable[[bytes], Awaitable[None]]
"""Sends one text frame."""


class Session:
    """The subscriptions of one connection to one thread.

    One reader follows the thread; a new subscription gets the past up to where that one is, and
    goes on with it.
    """

    def __init__(self, streams: ThreadStreams, caller: Caller, thread_id: UUID, send: Send) -> None:
        self._streams = streams
        self._caller = caller
        self._thread_id = thread_id
        self._send = send
        self._subscriptions: dict[str, Filter] = {}
        self._turn = asyncio.Lock()  # the past of a subscription comes before its present
        self._read = asyncio.Event()
        self.seq = 0

    async def follow(self) -> None:
        """Send what the subscriptions want until the thread's stream ends."""
        async for batch in self._streams.follow(self._caller, self._thread_id):
            async with self._turn:
                for told in batch:
                    self.seq = told.seq
                    if any(wanted.wants(told) for wanted in self._subscriptions.values()):
                        await self._send(told.dumps())
            if not batch:
                self._read.set()
        self._read.set()

    async def subscribe(self, method: str, params: Mapping[str, Any]) -> Json:
        """Send the past that is wanted, then say how much that was. Raises `Refusal`."""
        check_channels(method, params)
        wanted, subscription_id = Filter.of(params), str(uuid4())
        await self._read.wait()
        async with self._turn:
            replayed = await self._replay(wanted)
            self._subscriptions[subscription_id] = wanted
        return {"subscription_id": subscription_id, "replayed_events": replayed}

    async def _replay(self, wanted: Filter) -> int:
        """Send what is wanted of everything up to now. Returns how many events that was."""
        replayed = 0
        async with aclosing(self._streams.follow(self._caller, self._thread_id)) as stream:
            async for batch in stream:
                for told in batch:
                    if told.seq <= self.seq and wanted.wants(told):
                        await self._send(told.dumps())
                        replayed += 1
                if not batch or batch[-1].seq >= self.seq:
                    break
        return replayed

    def unsubscribe(self, params: Mapping[str, Any]) -> Json:
        """Raises `Refusal`."""
        subscription_id = subscription_of(params)
        if self._subscriptions.pop(subscription_id, None) is None:
            raise Refusal("no_such_subscription", f"Unknown subscription: {subscription_id}")
        return {}
