from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime

from engine.caller import Caller
from engine.database import Pool
from engine.embedded import Servers
from engine.namespaces import of_caller
from engine.runs import RunRequest
from engine.runtime import open_engine
from engine.settings import Settings
from tests.fakes.graphs import Work


async def remember(state: Work, runtime: Runtime) -> Work:
    assert runtime.store
    await runtime.store.aput(("facts",), "colour", {"is": "blue"})
    return {}


async def recall(state: Work) -> Work:
    item = await get_store().aget(("facts",), "colour")
    return {"steps": [item.value["is"] if item else "nothing"]}


async def test_nodes_and_the_engine_share_one_store(
    settings: Settings, servers: Servers, migrated: Pool, me: Caller
) -> None:
    graph = StateGraph(Work)
    graph.add_sequence([remember, recall])
    graph.add_edge(START, "remember")
    async with open_engine(settings, servers, migrated, {"memory": graph}) as engine:
        request = RunRequest("memory", input={}, create_thread=True)
        run = await engine.runs.create(me, None, request)
        output = [
            part async for part in engine.watch.output(me, engine.watch.from_start(me, run), run)
        ]
        item = await of_caller(engine.store, me).aget(("facts",), "colour")
    assert b'"steps":["blue"]' in b"".join(output)
    assert item is not None
    assert item.value == {"is": "blue"}
