"""A connection that breaks in the middle of an answer: the clients join again by themselves."""

from collections.abc import AsyncIterator, Callable
from urllib.parse import urlencode, urlsplit

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.fakes.cable import Cable, cable
from tests.web.browser import Page
from tests.web.conversation import READY, only_grew, say
from tests.web.story import Gates, half, whole, words

CHUNKS = "events.filter(e => e.event == 'messages').map(e => e.data[0].content).filter(c => c)"


@pytest.fixture
async def wire(api: str) -> AsyncIterator[Cable]:
    """What lies between the page and the server."""
    async with cable(urlsplit(api).port or 0) as wire:
        yield wire


@pytest.fixture
def address(pages: str, wire: Cable) -> Callable[..., str]:
    """Where a hook shows a conversation with the story teller, at the other end of the wire."""

    def of(**query: str) -> str:
        api = f"http://127.0.0.1:{wire.port}"
        return f"{pages}/?{urlencode({'api': api, 'assistant': 'story', **query})}"

    return of


async def break_off(page: Page, wire: Cable, gates: Gates, said: str, when: str = "true") -> None:
    """Break the connection in the middle of the answer, which goes on when that is so."""
    await say(page, said)
    await page.until(f"text('.ai') == '{half(said)}'")
    wire.cut()
    wire.mend()
    await page.until(when)
    gates[said].set()
    await page.until(f"{READY} && text('.ai') == '{whole(said)}'")
    assert only_grew(await page.run("shown"), whole(said))
    assert await page.run("texts('p')") == [said, whole(said)]
    assert await page.run("text('#error')") == ""


async def test_a_stream_goes_on_after_its_last_event(
    page: Page, address: Callable[..., str], wire: Cable, gates: Gates, client: LangGraphClient
) -> None:
    said = "slowly broken"
    await page.open(address(hook="legacy"))
    await break_off(page, wire, gates, said)
    assert await page.run(CHUNKS) == words(said)
    run = await page.run("run")
    [found] = await client.runs.list(run["thread_id"])
    assert (found["run_id"], found["status"]) == (run["run_id"], "success")
    again = f"/threads/{run['thread_id']}/runs/{run['run_id']}/stream"
    asked = [request.partition(" ")[0] for request in page.requests if request.endswith(again)]
    assert asked.count("GET") == 1


async def test_a_threads_events_are_told_once_over_another_connection(
    page: Page, address: Callable[..., str], wire: Cable, gates: Gates
) -> None:
    await page.open(address(hook="modern", transport="sse"))
    await break_off(page, wire, gates, "slowly torn")


async def test_a_threads_events_are_told_once_over_another_socket(
    page: Page, address: Callable[..., str], wire: Cable, gates: Gates
) -> None:
    """Its client would take a run that ended meanwhile for over, before it has heard of it all."""
    await page.open(address(hook="modern", transport="websocket"))
    await break_off(page, wire, gates, "slowly unplugged", when="window.reconnected")
