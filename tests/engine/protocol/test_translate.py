from itertools import pairwise
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from engine.following import Event
from engine.protocol.translate import Origin, Told, Translator
from engine.serialise import dumps

FIRST, SECOND = UUID(int=1), UUID(int=2)
ORIGINS = {FIRST: Origin("graph"), SECOND: Origin("graph", since=5, before=5)}


def stored(run_id: UUID, epoch: int, *named: tuple[str, Any], start: int = 1) -> list[Event]:
    return [
        Event((epoch, number), run_id, name, dumps(data))
        for number, (name, data) in enumerate(named, start)
    ]


def chunk(text: str, message_id: str = "m1", **more: Any) -> tuple[str, Any]:
    piece = {"type": "AIMessageChunk", "content": text, "id": message_id, **more}
    return "messages|inner:t1", [piece, {"langgraph_node": "model"}]


BEGIN = ("metadata", {"attempt": 1})
SUCCESS = ("end", {"status": "success"})
QUESTION = {"id": "i1", "value": "why?"}
TASK = {"id": "t1", "name": "inner", "input": {}}

FIRST_RUN = stored(
    FIRST,
    5,
    BEGIN,
    ("checkpoints", {"config": {"configurable": {"checkpoint_id": "c0"}}, "metadata": {}}),
    ("values", {"a": 1}),
    ("checkpoints", {"config": {"configurable": {"checkpoint_id": "c1"}}, "metadata": {}}),
    ("tasks", TASK),
    ("tasks|inner:t1", {"id": "t2", "name": "model", "input": {}}),
    chunk("Hello "),
    chunk("you", chunk_position="last"),
    ("updates|inner:t1", {"model": {"a": 2}}),
    ("values|inner:t1", {"a": 2, "__interrupt__": [QUESTION]}),
    ("tasks|inner:t1", {"id": "t2", "name": "model", "result": {}, "interrupts": [QUESTION]}),
    ("updates", {"__interrupt__": [QUESTION]}),
    ("values", {"a": 1, "__interrupt__": [QUESTION]}),
    ("tasks", {"id": "t1", "name": "inner", "result": {}, "interrupts": [QUESTION]}),
    SUCCESS,
)
SECOND_RUN = stored(
    SECOND,
    9,
    BEGIN,
    ("custom", {"half": True}),
    ("error", {"error": "ValueError", "message": "boom"}),
    ("end", {"status": "error"}),
)
THREAD = [*FIRST_RUN, *SECOND_RUN]


def translated(*batches: list[Event], origins: Any = ORIGINS) -> list[Told]:
    translator = Translator(clock=lambda: 7)
    return [told for batch in batches for told in translator.read(batch, origins)]


def lifecycles(told: list[Told]) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.data["event"], one.namespace) for one in told if one.method == "lifecycle"]


@given(st.sets(st.integers(0, len(THREAD))))
def test_the_same_events_tell_the_same_in_any_batches(cuts: set[int]) -> None:
    bounds = sorted(cuts | {0, len(THREAD)})
    batches = [THREAD[start:end] for start, end in pairwise(bounds)]
    assert [one.dumps() for one in translated(*batches)] == [
        one.dumps() for one in translated(THREAD)
    ]


def test_events_are_counted_over_runs_and_have_names_of_their_own() -> None:
    told = translated(THREAD)
    assert [one.seq for one in told] == list(range(1, len(told) + 1))
    assert len({one.event_id for one in told}) == len(told)


def test_a_run_tells_its_subgraphs_and_questions_from_within() -> None:
    told = translated(FIRST_RUN)
    inner = ("inner:t1",)
    assert lifecycles(told) == [
        ("running", ()),
        ("started", inner),
        ("interrupted", inner),
        ("interrupted", ()),
    ]
    [asked] = [one for one in told if one.method == "input.requested"]
    assert (asked.namespace, asked.data) == (
        inner,
        {"interrupt_id": "i1", "payload": "why?", "value": "why?"},
    )
    assert asked.event_id == f"synth:{FIRST}:input|inner:t1|i1"
    assert told.index(asked) == len(told) - 2
    assert all("__interrupt__" not in one.data for one in told if one.method == "values")


def test_a_checkpoint_comes_before_the_values_it_holds_under_their_own_names() -> None:
    told = translated(FIRST_RUN)
    order = [(one.method, one.event_id) for one in told if one.event_id.startswith("5-")]
    assert order[:3] == [("checkpoints", "5-2"), ("checkpoints", "5-4"), ("values", "5-3")]


def test_what_one_event_tells_in_pieces_is_named_after_it() -> None:
    names = [one.event_id for one in translated(FIRST_RUN) if one.method == "messages"]
    assert names == ["5-7", "5-7.1", "5-7.2", "5-8", "5-8.1", "5-8.2"]


def test_a_failed_run_says_why_and_ends_what_was_open() -> None:
    events = stored(
        FIRST, 5, BEGIN, ("tasks|inner:t1", {"id": "t2", "input": {}}), chunk("Hel"), *_FAILING
    )
    told = translated(events)
    assert [one.data for one in told if one.method == "messages"][-1] == {
        "event": "error",
        "message": "boom",
    }
    ends = [one.data for one in told if one.method == "lifecycle"][-2:]
    assert ends == [
        {"event": "failed", "graph_name": "inner", "error": "boom"},
        {"event": "failed", "graph_name": "graph", "error": "boom"},
    ]


_FAILING = (("error", {"error": "ValueError", "message": "boom"}), ("end", {"status": "error"}))


def test_another_attempt_goes_on_with_the_run_and_drops_half_a_message() -> None:
    died = stored(FIRST, 5, BEGIN, chunk("Hel"))
    again = stored(FIRST, 6, ("metadata", {"attempt": 2}), chunk("Hello", "m2"), SUCCESS)
    told = translated(died, again)
    assert lifecycles(told) == [("running", ()), ("completed", ())]
    kinds = [one.data["event"] for one in told if one.method == "messages"]
    assert kinds.index("error") == kinds.index("message-start", 1) - 1


def test_numbers_jump_ahead_where_something_may_be_missing() -> None:
    whole = {one.event_id: one.seq for one in translated(THREAD)}
    cuts = [translated(THREAD[cut:]) for cut in range(1, len(THREAD))]
    for told in cuts:
        numbers = [one.seq for one in told]
        assert numbers == sorted(set(numbers))
        assert all(one.seq >= whole.get(one.event_id, 0) for one in told)
    for earlier, later in pairwise(cuts):  # more was lost: no number has become smaller
        before = {one.event_id: one.seq for one in earlier}
        assert all(one.seq >= before.get(one.event_id, 0) for one in later)
    assert max(one.seq for one in cuts[-1]) < 2**53


def test_numbers_jump_ahead_after_an_attempt_that_died_or_a_run_that_told_nothing() -> None:
    died = translated(FIRST_RUN[:4], stored(FIRST, 6, ("metadata", {"attempt": 2}), SUCCESS))
    assert died[-1].seq > 2**23
    origins = {**ORIGINS, SECOND: Origin("graph", since=5, before=7)}
    silent = translated(THREAD, origins=origins)
    assert silent[-1].seq > 2**23
    assert translated(SECOND_RUN)[0].seq > 2**23


def test_the_end_that_was_lost_is_told_from_the_row_once() -> None:
    translator = Translator()
    translator.read(FIRST_RUN[:6], ORIGINS)
    assert translator.open_runs == [FIRST]
    told = translator.close(FIRST, "error", "the worker died")
    assert told[-1].data == {
        "event": "failed",
        "graph_name": "graph",
        "error": "the worker died",
    }
    assert told[-1].event_id == f"synth:{FIRST}:lc||failed"
    assert translator.open_runs == []
    assert translator.read(FIRST_RUN[6:], ORIGINS) == []
