"""Server-sent events as a client reads them: whole ones only, without comments."""

from collections.abc import AsyncIterator

import httpx

Event = dict[str, str]
"""The fields of one: `event`, `data`, perhaps `id`."""


def whole(text: str) -> list[Event]:
    """Those in a text; a piece without its blank line is dropped."""
    *blocks, _ = text.replace("\r\n", "\n").split("\n\n")
    read = [
        dict(line.split(": ", 1) for line in block.split("\n") if line[:1] not in {"", ":"})
        for block in blocks
    ]
    return [event for event in read if event]


async def live(response: httpx.Response) -> AsyncIterator[Event]:
    """Those of a response, as they come."""
    kept = ""
    async for text in response.aiter_text():
        done, mark, kept = (kept + text).replace("\r\n", "\n").rpartition("\n\n")
        for event in whole(done + mark):
            yield event
