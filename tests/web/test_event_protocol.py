"""The newer `useStream` and `client.threads.stream`, in a real browser, over the event protocol."""

from collections.abc import Callable
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

from tests.web.browser import Page
from tests.web.conversation import READY, only_grew, say
from tests.web.story import Gates, half, whole, words

Address = Callable[..., str]

transports = pytest.mark.parametrize("transport", ["sse", "websocket"])

CHUNKS = """[...new Map(events
  .filter(e => e.event == 'messages' && e.data.params.data.delta?.type == 'text-delta')
  .map(e => [e.data.event_id, e.data.params.data.delta.text])
).values()]"""
"""The text of each event that tells a token; streams that overlap tell it by the same id."""

REPLAYED = "events.filter(e => e.event == 'input.requested').length == 2"
"""Both streams have told of the question: this hook takes one that comes late for a new one."""


@transports
async def test_an_answer_appears_word_by_word(
    page: Page, address: Address, gates: Gates, transport: str
) -> None:
    said = f"slowly {transport}"
    await page.open(address("modern", "story", transport=transport))
    await say(page, said)
    await page.until(f"text('.ai') == '{half(said)}'")
    gates[said].set()
    await page.until(f"{READY} && text('.ai') == '{whole(said)}'")
    assert only_grew(await page.run("shown"), whole(said))
    assert await page.run("texts('p')") == [said, whole(said)]


@transports
async def test_a_page_that_is_reloaded_in_the_middle_of_an_answer_reads_all_of_it(
    page: Page, address: Address, gates: Gates, client: LangGraphClient, transport: str
) -> None:
    said = f"slowly again {transport}"
    await page.open(address("modern", "story", transport=transport))
    await say(page, said)
    await page.until(f"text('.ai') == '{half(said)}'")
    run = await page.run("run")
    await page.reload()
    await page.until(f"window.text?.('.ai') == '{half(said)}'")
    gates[said].set()
    await page.until(f"{READY} && text('.ai') == '{whole(said)}'")
    assert only_grew(await page.run("shown"), whole(said))
    assert await page.run("texts('p')") == [said, whole(said)]
    if transport == "sse":
        assert await page.run(CHUNKS) == words(said)
    runs: Any = await client.runs.list(await page.run("stream.threadId"))
    assert [(r["run_id"], r["status"]) for r in runs] == [(run, "success")]


async def test_a_page_that_comes_back_after_the_end_shows_the_answer_once(
    page: Page, address: Address, gates: Gates, client: LangGraphClient
) -> None:
    said = "slowly gone"
    await page.open(address("modern", "story"))
    await say(page, said)
    await page.until(f"text('.ai') == '{half(said)}'")
    thread, run, here = await page.run("[stream.threadId, run, location.href]")
    await page.open("about:blank")
    gates[said].set()
    await client.runs.join(thread, run)
    await page.open(here)
    await page.until(f"{READY} && text('.ai') == '{whole(said)}'")
    assert await page.run("texts('p')") == [said, whole(said)]
    await say(page, "then")
    await page.until(f"{READY} && texts('.ai').at(-1) == '{whole('then')}'")
    assert await page.run("texts('p')") == [said, whole(said), "then", whole("then")]
    assert (counts := await page.run("counts")) == sorted(counts)


@transports
async def test_stop_ends_the_run(
    page: Page, address: Address, gates: Gates, client: LangGraphClient, transport: str
) -> None:
    said = f"slowly stopped by {transport}"
    await page.open(address("modern", "story", transport=transport))
    await say(page, said)
    await page.until(f"text('.ai') == '{half(said)}'")
    thread, run = await page.run("[stream.threadId, run]")
    await page.run("stream.stop()")
    await page.until(READY)
    await client.runs.join(thread, run)
    assert (await client.runs.get(thread, run))["status"] == "interrupted"


@transports
async def test_a_question_is_shown_and_its_answer_resumes_the_run(
    page: Page, address: Address, client: LangGraphClient, transport: str
) -> None:
    await page.open(address("modern", "approval", transport=transport))
    await page.until(READY)
    await page.run("void stream.submit({topic: 'shoes'})")
    asked = await page.until(f"{READY} && text('#interrupt')")
    assert asked == '{"question":"approve?","draft":"draft about shoes"}'
    await page.reload()
    await page.until(f"window.text?.('#interrupt') == {asked!r} && {READY}")
    if transport == "sse":
        await page.until(REPLAYED)
    await page.run("void stream.respond('yes', {interruptId: stream.interrupt.id})")
    await page.until(f"{READY} && !text('#interrupt') && stream.values.log.length == 3")
    assert await page.run("stream.values.log") == ["write_draft", "human:yes", "publish"]
    state: Any = await client.threads.get_state(await page.run("stream.threadId"))
    assert (state["next"], state["values"]["log"][1]) == ([], "human:yes")


async def test_two_questions_are_answered_at_once(page: Page, address: Address) -> None:
    await page.open(address("modern", "par"))
    await page.until(READY)
    await page.run("void stream.submit({topic: 'shoes'})")
    await page.until(f"{READY} && stream.interrupts.length == 2")
    await page.run(
        "void stream.respondAll(Object.fromEntries("
        "stream.interrupts.map((one) => [one.id, one.value.side + ' please'])))"
    )
    await page.until(f"{READY} && stream.values.answers?.length == 3")
    answers = await page.run("stream.values.answers")
    assert answers == ["left:left please", "right:right please", "both"]
    assert await page.run("stream.interrupts") == []


async def test_a_question_of_a_subgraph_is_answered_where_it_was_asked(
    page: Page, address: Address
) -> None:
    await page.open(address("modern", "work"))
    await page.until(READY)
    await page.run("void stream.submit({mode: 'asking'})")
    await page.until(f"{READY} && stream.getThread()?.interrupts.length == 1")
    asked = await page.run("stream.getThread().interrupts[0]")
    assert asked["payload"] == {"question": "go on?"}
    assert [part.partition(":")[0] for part in asked["namespace"]] == ["asking"]
    await page.run(f"void stream.respond('yes', {{interruptId: '{asked['interruptId']}'}})")
    await page.until(f"{READY} && stream.values.steps?.at(-1) == 'done'")
    assert (await page.run("stream.values.steps"))[-3:] == ["sub_a", "sub:yes", "done"]


async def test_an_earlier_question_can_be_asked_otherwise(
    page: Page, address: Address, client: LangGraphClient
) -> None:
    await page.open(address("modern", "story"))
    for said in ("first", "second"):
        await say(page, said)
        await page.until(f"{READY} && texts('.ai').at(-1) == '{whole(said)}'")
    thread = await page.run("stream.threadId")
    history: Any = await client.threads.get_history(thread)
    start = history[-1]["checkpoint_id"]
    await say(page, "other", f"{{forkFrom: '{start}'}}")
    await page.until(f"{READY} && text('.ai') == '{whole('other')}'")
    assert await page.run("texts('p')") == ["other", whole("other")]
    head: Any = await client.threads.get_state(thread)
    assert head["values"]["messages"][0]["content"] == "other"
    before: Any = await client.threads.get_state(thread, checkpoint=history[0]["checkpoint"])
    assert len(before["values"]["messages"]) == 4


STREAM = """(async () => {
  window.thread = client.threads.stream(%s, {assistantId: "%s", transport: "%s"});
  window.tokens = [];
  const {run_id} = %s;
  (async () => {
    for await (const message of thread.messages)
      for await (const token of message.text) tokens.push(token);
    window.over = true;
  })();
  return [thread.threadId, run_id];
})()"""


async def stream(page: Page, transport: str, assistant: str, given: str) -> tuple[str, str]:
    """Start a run on a new thread, whose tokens the page collects. The ids of both."""
    start = f"await thread.run.start({{input: {given}}})"
    thread, run = await page.run(STREAM % ("undefined", assistant, transport, start))
    return thread, run


def human(said: str) -> str:
    return f"{{messages: [{{type: 'human', content: '{said}'}}]}}"


@transports
async def test_a_thread_streams_tokens_and_is_found_again_after_a_reload(
    page: Page, address: Address, gates: Gates, client: LangGraphClient, transport: str
) -> None:
    said = f"slowly in a thread {transport}"
    await page.open(address("none", "story"))
    thread, run = await stream(page, transport, "story", human(said))
    await page.until(f"tokens.join('') == '{half(said)}'")
    await page.reload()
    await page.run(STREAM % (f"'{thread}'", "story", transport, "{}"))
    await page.until(f"tokens.join('') == '{half(said)}'")
    gates[said].set()
    await page.until("window.over")
    assert await page.run("tokens") == words(said)
    assert (await client.runs.get(thread, run))["status"] == "success"


@transports
async def test_a_thread_is_interrupted_and_answered(
    page: Page, address: Address, client: LangGraphClient, transport: str
) -> None:
    await page.open(address("none", "approval"))
    thread, _ = await stream(page, transport, "approval", "{topic: 'shoes'}")
    await page.until("thread.interrupted")
    [asked] = await page.run("thread.interrupts")
    assert asked["payload"] == {"question": "approve?", "draft": "draft about shoes"}
    answer = f"{{namespace: [], interrupt_id: '{asked['interruptId']}', response: 'yes'}}"
    await page.run(f"thread.input.respond({answer})")
    [run, _] = await client.runs.list(thread)
    values: Any = await client.runs.join(thread, run["run_id"])
    assert values["log"] == ["write_draft", "human:yes", "publish"]


@transports
async def test_a_thread_goes_on_from_where_it_was_before(
    page: Page, address: Address, client: LangGraphClient, transport: str
) -> None:
    await page.open(address("none", "story"))
    thread, _ = await stream(page, transport, "story", human("first"))
    await page.until("window.over")
    history: Any = await client.threads.get_history(thread)
    start = history[-1]["checkpoint_id"]
    fork = f"{{input: {human('other')}, forkFrom: '{start}'}}"
    run = await page.run(f"thread.run.start({fork})")
    values: Any = await client.runs.join(thread, run["run_id"])
    head: Any = await client.threads.get_state(thread)
    assert head["values"] == values
    assert [message["content"] for message in values["messages"]] == ["other", whole("other")]
    longer: Any = await client.threads.get_history(thread)
    assert longer[-len(history) :] == history


@transports
async def test_a_thread_hears_that_its_run_was_stopped(
    page: Page, address: Address, client: LangGraphClient, transport: str
) -> None:
    said = f"slowly stopped in a thread {transport}"
    await page.open(address("none", "story"))
    thread, run = await stream(page, transport, "story", human(said))
    await page.until(f"tokens.join('') == '{half(said)}'")
    await page.run(f"client.runs.cancel('{thread}', '{run}', true)")
    await page.until("window.over")
    assert await page.run("tokens.join('')") == half(said)
    assert (await client.runs.get(thread, run))["status"] == "interrupted"
