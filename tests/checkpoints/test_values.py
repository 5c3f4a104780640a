"""What is put is what is read, whoever changes what they hold in the meantime."""

import asyncio
import random
from collections import OrderedDict, deque
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Send

from tests.checkpoints.backends import Backend
from tests.checkpoints.threads import SERDE, Thread, encoded

_built: list[str] = []


@dataclass
class Unlisted:
    name: str

    def __post_init__(self) -> None:
        _built.append(self.name)


ALLOW = [(Unlisted.__module__, "Unlisted")]


def talk(count: int, start: int = 0) -> list[HumanMessage]:
    return [HumanMessage(f"line {n}", id=f"m{n}") for n in range(start, start + count)]


async def assert_kept(thread: Thread, other: BaseCheckpointSaver, *states: Any) -> None:
    """Put these states of one channel in a row: each reads back, here and in another process."""
    configs = [await thread.put({"value": state}) for state in states]
    for reader in (thread, thread.through(other)):
        for config, state in zip(configs, states, strict=True):
            found = (await reader.values(config))["value"]
            assert encoded(found) == encoded(SERDE.loads_typed(SERDE.dumps_typed(state)))


@pytest.mark.parametrize(
    "value",
    [
        "straße ✓ 對話 🙂",
        "a\x00b",
        ["\x00", "\ud800 alone", {"k": "\udfff"}],
        "\ud800",
        b"\x00\xff",
        bytearray(b"\x00\xff"),
        [],
        {},
        "",
        0,
        -0.0,
        float("inf"),
        2**63,
        True,
        [1, True, 1.0, "1", b"1", None, [1], (1,), {"1": 1}],
        [0, -0.0, 0.0, False],
        {1: "int", "1": "str", (1, 2): "tuple"},
        (1, [2, {"three": 3}]),
        {"z": 1, "a": 2, "m": [3]},
        OrderedDict(b=1, a=2),
        deque([1, 2]),
        frozenset([1]),
        [[[]], [{}], [None]],
        [Send("node", {"x": 1}), Send("node", {"x": 1})],
        "x" * 100_000,
        [b"y" * 50_000, "z" * 50_000],
        {"big": "x" * 50_000, "small": 1},
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_a_value_of_any_kind_reads_back_as_the_serializer_gives_it(
    thread: Thread, other: BaseCheckpointSaver, value: Any
) -> None:
    await assert_kept(thread, other, value, [value], {"key": value})


async def test_none_is_a_value_and_not_an_empty_channel(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await thread.put({"value": None})
    assert await thread.values() == {"value": None}
    assert await thread.through(other).values() == {"value": None}


async def test_a_channel_may_change_its_kind_at_every_step(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await assert_kept(thread, other, [1, 2], {"a": 1}, "text", None, [1, 2], 3, {"a": 1}, [], {})


async def test_a_list_may_grow_shrink_and_be_edited_anywhere(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    whole = talk(8)
    edited = [*whole[:3], HumanMessage("edited", id="m3"), *whole[4:]]
    await assert_kept(
        thread,
        other,
        whole[:1],
        whole,
        edited,
        edited[1:],
        edited[:-1],
        edited[::2],
        edited[::-1],
        [edited[0]] * 5,
        edited + edited,
        whole,
        [],
        whole,
    )


async def test_a_list_of_two_thousand_items_is_shuffled_edited_and_cut(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    dice = random.Random(7)  # noqa: S311 - the same dice every time
    states: list[list[Any]] = [[f"item {n % 700}" for n in range(2000)]]
    for _ in range(4):
        state = list(states[-1])
        for _ in range(30):
            state[dice.randrange(len(state))] = f"edited {dice.random()}"
        state.insert(dice.randrange(len(state)), ["inserted"])
        del state[dice.randrange(len(state))]
        states.append(state)
    states.append(dice.sample(states[-1], len(states[-1])))
    states.append(states[-1][::2])
    states.append(states[0] + ["appended"])
    await assert_kept(thread, other, *states)


async def test_a_dict_of_many_keys_keeps_their_order_through_changes(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    first = {f"key {n}": {"n": n, "text": "t" * (n % 90)} for n in range(1000)}
    changed = first | {"key 5": "changed", "new": [1]}
    fewer = {key: value for key, value in changed.items() if key not in ("key 0", "key 999")}
    moved = {"key 7": fewer["key 7"], **{k: v for k, v in fewer.items() if k != "key 7"}}
    swapped = dict(reversed(moved.items()))
    await assert_kept(thread, other, first, changed, fewer, moved, swapped, {}, first)


async def test_a_channel_that_becomes_empty_reads_back_absent(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    full = await thread.put({"items": [1, 2], "note": "n", "state": {"a": 1}, "stays": "s"})
    empty = await thread.put({"stays": "s"})
    again = await thread.put({"items": [1, 2, 3], "stays": "s"})
    for reader in (thread, thread.through(other)):
        assert await reader.values(empty) == {"stays": "s"}
        assert set((await reader.read(empty)).checkpoint["channel_versions"]) == {
            *("items", "note", "state", "stays")
        }
        assert (await reader.values(full))["items"] == [1, 2]
        assert await reader.values(again) == {"items": [1, 2, 3], "stays": "s"}


async def test_an_empty_list_is_not_an_empty_channel(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    await thread.put({"items": [1]})
    await thread.put({"items": []})
    assert await thread.values() == {"items": []}
    assert await thread.through(other).values() == {"items": []}


async def test_a_channel_not_named_as_new_keeps_what_its_parent_had(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver, thread: Thread
) -> None:
    first = await thread.put({"kept": ["as", "it", "was"], "other": 1})
    for number in range(2, 5):
        made, changed = thread._next(
            {"kept": ["as", "it", "was"], "other": number},
            thread.last["configurable"]["checkpoint_id"],
            {},
        )
        assert list(changed) == ["other"]
        thread.last = await saver.aput(thread.last, made, {}, changed)
        for reader in (thread, thread.through(other)):
            assert await reader.values() == {"kept": ["as", "it", "was"], "other": number}
    assert await thread.values(first) == {"kept": ["as", "it", "was"], "other": 1}


async def test_what_did_not_change_is_not_stored_again(
    empty: Backend,
) -> None:
    big = [token_hex(2000) for _ in range(50)]
    async with empty.open() as saver:
        thread = Thread(saver)
        await thread.put({"big": big, "count": 0})
        once = sum(map(len, await empty.dump()))
        for count in range(20):
            await thread.put({"big": [*big, "more", count], "count": count, "copy": list(big)})
        assert sum(map(len, await empty.dump())) < 1.5 * once


async def test_a_value_changed_after_aput_was_called_is_stored_as_it_was(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver, thread: Thread
) -> None:
    message = HumanMessage("said", id="m", additional_kwargs={"k": ["v"]})
    items, state, metadata = [message, {"a": [1]}], {"inner": {"n": 1}}, {"parents": {"": "p"}}
    values = {"items": items, "state": state}
    made, changed = thread._next(values, None, {"versions_seen": {"node": {"items": 1}}})
    saving = asyncio.create_task(saver.aput(thread.config, made, metadata, changed))
    await asyncio.sleep(0)
    message.content = "MUTATED"
    message.additional_kwargs["k"].append("MUTATED")
    items[1]["a"].append("MUTATED")
    items.append("MUTATED")
    state["inner"]["n"] = "MUTATED"
    values["MUTATED"] = 1
    made["versions_seen"]["node"]["items"] = "MUTATED"
    made["channel_versions"]["MUTATED"] = "MUTATED"
    metadata["parents"]["MUTATED"] = "MUTATED"
    changed["MUTATED"] = "MUTATED"
    await saving
    for reader in (thread, thread.through(other)):
        found = await reader.read()
        assert "MUTATED" not in repr(found)
        assert found.checkpoint["channel_values"]["items"][0].content == "said"


async def test_a_write_changed_after_aput_writes_was_called_is_stored_as_it_was(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver, thread: Thread
) -> None:
    await thread.put({})
    value, message = {"a": [1]}, HumanMessage("said", id="m")
    writes = [("state", value), ("items", [message])]
    saving = asyncio.create_task(saver.aput_writes(thread.last, writes, "task"))
    await asyncio.sleep(0)
    value["a"].append("MUTATED")
    message.content = "MUTATED"
    writes.append(("MUTATED", 1))
    await saving
    for reader in (thread, thread.through(other)):
        assert await reader.writes() == [
            ("task", "state", {"a": [1]}),
            ("task", "items", [HumanMessage("said", id="m")]),
        ]


async def test_objects_edited_in_place_between_steps_change_only_what_comes_after(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    plain = HumanMessage("one", id="1")
    blocks = AIMessage([{"type": "text", "text": "two"}], id="2")
    called = AIMessage("", id="3", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c"}])
    items = [plain, blocks, called, ToolMessage("four", tool_call_id="c", id="4"), {"n": [5]}]
    state = {"deep": {"er": [1]}, "message": plain}
    seen = []

    async def put() -> None:
        config = await thread.put({"items": items, "state": state})
        seen.append((config, encoded(items), encoded(state)))

    await put()
    plain.content = "edited"
    await put()
    blocks.content[0]["text"] = "edited"
    await put()
    called.tool_calls[0]["args"]["x"] = 2
    called.tool_calls.append({"name": "g", "args": {}, "id": "d", "type": "tool_call"})
    await put()
    items[3].additional_kwargs["late"] = {"k": 1}
    items[3].response_metadata["model"] = "m"
    await put()
    items[4]["n"].append(6)
    await put()
    state["deep"]["er"].append(2)
    await put()
    items[0], items[1] = items[1], items[0]
    await put()
    for reader in (thread, thread.through(other)):
        for config, items_then, state_then in seen:
            values = await reader.values(config)
            assert encoded(values["items"]) == items_then
            assert encoded(values["state"]) == state_then


async def test_who_reads_may_change_what_was_handed_out(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver, thread: Thread
) -> None:
    await thread.put(
        {"items": talk(3), "state": {"a": {"b": [1]}}}, metadata={"parents": {"": "p"}}
    )
    await thread.write(("items", [HumanMessage("w", id="w")]), ("state", {"c": [1]}))
    for reader in (thread, thread.through(other)):
        for _ in range(3):
            found = await reader.read()
            values = found.checkpoint["channel_values"]
            assert [m.content for m in values["items"]] == ["line 0", "line 1", "line 2"]
            assert values["state"] == {"a": {"b": [1]}}
            assert found.metadata["parents"] == {"": "p"}
            assert [value for _, _, value in found.pending_writes] == [
                [HumanMessage("w", id="w")],
                {"c": [1]},
            ]
            values["items"][0].content = "MUTATED"
            values["items"].append("MUTATED")
            values["state"]["a"]["b"].append("MUTATED")
            found.checkpoint["channel_versions"]["MUTATED"] = 1
            found.metadata["parents"]["MUTATED"] = "MUTATED"
            found.pending_writes[0][2][0].content = "MUTATED"
            found.pending_writes[1][2]["c"].append("MUTATED")
            found.pending_writes.append("MUTATED")
        listed = [each async for each in reader.saver.alist(thread.config)]
        assert "MUTATED" not in repr(listed)


async def test_what_was_read_changed_and_put_again_is_stored_as_changed(
    saver: BaseCheckpointSaver, other: BaseCheckpointSaver, thread: Thread
) -> None:
    first = await thread.put({"items": talk(3), "state": {"a": {"b": [1]}}})
    values = await thread.values()
    values["items"][1].content = "edited"
    values["items"].append(HumanMessage("new", id="m3"))
    values["state"]["a"]["b"].append(2)
    second = await thread.put(values)
    for reader in (thread, thread.through(other)):
        assert (await reader.values(first)) == {"items": talk(3), "state": {"a": {"b": [1]}}}
        found = await reader.values(second)
        assert [m.content for m in found["items"]] == ["line 0", "edited", "line 2", "new"]
        assert found["state"] == {"a": {"b": [1, 2]}}


async def test_a_checkpoint_put_again_replaces_itself_and_keeps_its_writes(
    thread: Thread, other: BaseCheckpointSaver
) -> None:
    first = await thread.put({"items": [1], "note": "first"}, metadata={"step": 1})
    await thread.write(("items", [2]))
    again = await thread.put(
        {"items": [1, 2], "note": "again"},
        parent=thread.config,
        id=first["configurable"]["checkpoint_id"],
        metadata={"step": 2},
    )
    child = await thread.put({"items": [1, 2, 3], "note": "again"})
    assert again["configurable"] == first["configurable"]
    for reader in (thread, thread.through(other)):
        found = await reader.read(first)
        assert found.checkpoint["channel_values"] == {"items": [1, 2], "note": "again"}
        assert found.metadata["step"] == 2
        assert found.pending_writes == [("task", "items", [2])]
        assert await reader.values(child) == {"items": [1, 2, 3], "note": "again"}
        assert len(await reader.history()) == 2


async def test_a_class_that_was_not_listed_is_not_built(backend: Backend) -> None:
    async with backend.open() as writer, backend.open() as reader:
        thread = Thread(writer)
        await thread.put(
            {"value": Unlisted("a"), "items": [Unlisted("b")], "map": {"k": Unlisted("c")}}
        )
        await thread.write(("value", Unlisted("d")))
        _built.clear()
        for saver in (writer, reader):
            found = await thread.through(saver).read()
            assert found.checkpoint["channel_values"] == {
                "value": {"name": "a"},
                "items": [{"name": "b"}],
                "map": {"k": {"name": "c"}},
            }
            assert found.pending_writes == [("task", "value", {"name": "d"})]
        assert _built == []


async def test_a_listed_class_is_built(backend: Backend) -> None:
    async with backend.open(allow=ALLOW) as writer, backend.open(allow=ALLOW) as reader:
        thread = Thread(writer)
        await thread.put({"value": Unlisted("a"), "items": [Unlisted("b")]})
        for saver in (writer, reader):
            assert await thread.through(saver).values() == {
                "value": Unlisted("a"),
                "items": [Unlisted("b")],
            }


@pytest.mark.parametrize("strict_first", [True, False])
async def test_a_copy_with_another_allow_list_shares_the_data_and_not_the_objects(
    backend: Backend, strict_first: bool
) -> None:
    async with backend.open() as strict:
        allowing = strict.with_allowlist(ALLOW)
        assert type(allowing) is type(strict)
        assert allowing is not strict
        thread = Thread(strict)
        await thread.put({"items": [Unlisted("a")]})
        expected = {strict: {"items": [{"name": "a"}]}, allowing: {"items": [Unlisted("a")]}}
        order = [strict, allowing] if strict_first else [allowing, strict]
        for reader in (*order, *order):
            assert await thread.through(reader).values() == expected[reader]
        through = thread.through(allowing)
        await through.put({"items": [Unlisted("a"), Unlisted("b")]})
        await through.write(("items", Unlisted("c")))
        assert await thread.values() == {"items": [{"name": "a"}, {"name": "b"}]}
        assert await through.writes() == [("task", "items", Unlisted("c"))]
        assert await thread.writes() == [("task", "items", {"name": "c"})]
