"""Whether whoever is told something for long may still be told."""

import asyncio
import time

from engine.caller import Caller
from engine.keys import ApiKeys

_SECONDS = 1.0


class Lasting:
    """A caller's leave to go on, which ends with its key or its token.

    Keys are those that the process knows anyway, so many streams ask the database no more often.
    Keys of the settings last as long as the process, and a project's own handlers judge requests.
    """

    def __init__(self, caller: Caller, keys: ApiKeys) -> None:
        self._caller = caller
        self._keys = keys
        self._due = time.monotonic() + _SECONDS

    async def over(self) -> bool:
        """Asked as often as there is something to tell; looked at once a second."""
        if time.monotonic() < self._due:
            return False
        self._due = time.monotonic() + _SECONDS
        expires_at, key_id = self._caller.expires_at, self._caller.key_id
        if expires_at is not None and time.time() >= expires_at:
            return True
        return key_id is not None and not await self._keys.opens(key_id)

    async def end(self) -> None:
        """Returns when it is over."""
        while not await self.over():  # noqa: ASYNC110 - another process ends it
            await asyncio.sleep(_SECONDS)
