"""A second run while the first is running, waits, or has stopped at an interrupt."""

from functools import partial
from typing import Any

from tests.api.api import Api
from tests.api.registry import add
from tests.api.table import SITUATIONS, STRATEGIES


async def second(api: Api, strategy: str, when: str) -> None:
    """Post it, and tell what became of both, and of the thread."""
    thread, first = await _first(api, when, 3 if strategy == "enqueue" else 60)
    graph, value = (
        ("approval", {"topic": "y"}) if when == "interrupted" else ("work", {"mode": "done"})
    )
    body = {"assistant_id": graph, "input": value, "multitask_strategy": strategy}
    answer = await api.call("POST", f"/threads/{thread}/runs", body)
    if strategy == "reject" and when != "interrupted":
        answer.must(409)
        await api.sdk.runs.cancel(thread, first, wait=True)
        return
    run = answer.must(200)
    assert (run["status"], run["multitask_strategy"]) == ("pending", strategy)
    if when == "running" and strategy == "interrupt":
        assert (await api.sdk.runs.get(thread, first))["status"] == "interrupted"
    if strategy == "enqueue" and when != "interrupted":  # there the second may be done by now
        assert (await api.ask("GET", f"/threads/{thread}")).must(200)["status"] == "busy"
    if strategy == "enqueue":
        await api.release(thread)
    await api.settled(thread, run["run_id"])
    statuses = {one["run_id"]: one["status"] for one in await api.sdk.runs.list(thread)}
    api.tell("statuses", [statuses.get(first), statuses.get(run["run_id"])])
    state = await api.sdk.threads.get_state(thread)
    state["values"].pop("gate", None)
    api.tell("values", state["values"])
    api.tell("next", state["next"])
    assert statuses.get(run["run_id"]) == "success"
    wanted = {"enqueue": "success", "interrupt": "interrupted", "rollback": None}
    if when != "interrupted":
        assert statuses.get(first) == wanted[strategy]


async def _first(api: Api, when: str, seconds: float) -> tuple[str, str]:
    if when == "running":
        return await api.running()
    if when == "interrupted":
        return await api.ran("approval", {"topic": "x"})
    thread = await api.thread()
    body: dict[str, Any] = {
        "assistant_id": "work",
        "input": {"mode": "done"},
        "after_seconds": seconds,
    }
    run = (await api.ask("POST", f"/threads/{thread}/runs", body)).must(200)
    return thread, str(run["run_id"])


for _strategy in STRATEGIES:
    for _when in SITUATIONS:
        add(partial(second, strategy=_strategy, when=_when), [f"{_strategy} while {_when}"])
