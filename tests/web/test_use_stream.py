"""`useStream` of the JavaScript SDK, in a real browser, over runs and their streams."""

from collections.abc import Callable
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.web.browser import Page
from tests.web.conversation import READY, only_grew, say
from tests.web.story import Gates, half, whole, words

Address = Callable[..., str]

CHUNKS = "events.filter(e => e.event == 'messages').map(e => e.data[0].content).filter(c => c)"


async def test_an_answer_appears_word_by_word(page: Page, address: Address, gates: Gates) -> None:
    await page.open(address("legacy", "story"))
    await say(page, "slowly one")
    await page.until(f"text('.ai') == '{half('slowly one')}'")
    gates["slowly one"].set()
    await page.until(f"{READY} && text('.ai') == '{whole('slowly one')}'")
    assert only_grew(await page.run("shown"), whole("slowly one"))
    run = await page.run("run")
    here = f"/threads/{run['thread_id']}/runs"
    asked = [request for request in page.requests if here in request and "OPTIONS" not in request]
    assert [request.partition(here)[2] for request in asked] == ["/stream"]


async def test_a_page_that_is_reloaded_in_the_middle_of_an_answer_reads_all_of_it(
    page: Page, address: Address, gates: Gates, client: LangGraphClient
) -> None:
    await page.open(address("legacy", "story"))
    await say(page, "slowly two")
    await page.until(f"text('.ai') == '{half('slowly two')}'")
    run = await page.run("run")
    await page.reload()
    await page.until(f"window.text?.('.ai') == '{half('slowly two')}'")
    gates["slowly two"].set()
    await page.until(f"{READY} && text('.ai') == '{whole('slowly two')}'")
    assert only_grew(await page.run("shown"), whole("slowly two"))
    assert await page.run("texts('p')") == ["slowly two", whole("slowly two")]
    assert await page.run(CHUNKS) == words("slowly two")
    runs: Any = await client.runs.list(run["thread_id"])
    assert [(r["run_id"], r["status"]) for r in runs] == [(run["run_id"], "success")]


async def test_a_page_that_comes_back_after_the_end_shows_the_answer_once(
    page: Page, address: Address, gates: Gates, client: LangGraphClient
) -> None:
    await page.open(address("legacy", "story"))
    await say(page, "slowly three")
    await page.until(f"text('.ai') == '{half('slowly three')}'")
    run, here = await page.run("run"), await page.run("location.href")
    await page.open("about:blank")
    gates["slowly three"].set()
    await client.runs.join(run["thread_id"], run["run_id"])
    await page.open(here)
    await page.until(f"{READY} && text('.ai') == '{whole('slowly three')}'")
    assert await page.run("texts('p')") == ["slowly three", whole("slowly three")]


@pytest.mark.parametrize("rejoin", ["yes", "no"])
async def test_stop_ends_the_run(
    page: Page, address: Address, gates: Gates, client: LangGraphClient, rejoin: str
) -> None:
    """A page that would rejoin the run cancels it; the run of another ends with its connection."""
    said = f"slowly stopped {rejoin}"
    await page.open(address("legacy", "story", rejoin=rejoin))
    await say(page, said)
    await page.until(f"text('.ai') == '{half(said)}'")
    run = await page.run("run")
    await page.run("stream.stop()")
    await page.until(READY)
    await client.runs.join(run["thread_id"], run["run_id"])
    assert (await client.runs.get(run["thread_id"], run["run_id"]))["status"] == "interrupted"
    assert not gates[said].is_set()
    cancels = [request for request in page.requests if request.endswith("action=interrupt")]
    assert len(cancels) == (rejoin == "yes")


async def test_a_question_is_shown_and_its_answer_resumes_the_run(
    page: Page, address: Address, client: LangGraphClient
) -> None:
    await page.open(address("legacy", "approval"))
    await page.until(READY)
    await page.run("void stream.submit({topic: 'shoes'})")
    asked = await page.until(f"{READY} && text('#interrupt')")
    assert asked == '{"question":"approve?","draft":"draft about shoes"}'
    await page.reload()
    await page.until(f"window.text?.('#interrupt') == {asked!r}")
    await page.run("void stream.submit(undefined, {command: {resume: 'yes'}})")
    await page.until(f"{READY} && !text('#interrupt') && stream.values.log.length == 3")
    assert await page.run("stream.values.log") == ["write_draft", "human:yes", "publish"]
    thread = (await page.run("run"))["thread_id"]
    state: Any = await client.threads.get_state(thread)
    assert (state["next"], state["values"]["log"][1]) == ([], "human:yes")


async def test_an_earlier_question_can_be_asked_otherwise_and_both_branches_be_seen(
    page: Page, address: Address
) -> None:
    await page.open(address("legacy", "story"))
    for said in ("first", "second"):
        await say(page, said)
        await page.until(f"{READY} && texts('.ai').at(-1) == '{whole(said)}'")
    first = "stream.getMessagesMetadata(stream.messages[0]).firstSeenState.parent_checkpoint"
    await page.until(f"!!{first}")
    await say(page, "other", f"{{checkpoint: {first}}}")
    await page.until(f"{READY} && text('.ai') == '{whole('other')}'")
    assert await page.run("texts('p')") == ["other", whole("other")]
    options = "stream.getMessagesMetadata(stream.messages[0])?.branchOptions"
    branches = await page.until(f"{options}?.length == 2 && {options}")
    await page.run(f"stream.setBranch('{branches[0]}')")
    await page.until("texts('p').length == 4")
    assert await page.run("texts('.human')") == ["first", "second"]
