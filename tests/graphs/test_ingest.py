import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from engine.database import Pool, migrate, open_pool
from engine.errors import Forbidden, NotFound
from engine.knowledge import Knowledge, open_knowledge
from graphs.ingest import build
from tests.fakes.encoder import WordEncoder
from tests.fakes.pdf import pdf

Ingest = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def encoder() -> WordEncoder:
    return WordEncoder()


@pytest.fixture
async def knowledge(
    database_url: str, pool: Pool, encoder: WordEncoder
) -> AsyncIterator[Knowledge]:
    await migrate(pool, "engine")
    async with open_knowledge(database_url, pool, encoder) as knowledge:
        yield knowledge


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One good file of each format."""
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "returns.md").write_text(
        "# Returns\n\n## How long\n\nShoes go back in thirty days.\n"
    )
    (folder / "deep" / "care.html").write_text("<h1>Care</h1><p>Wool is washed cold.</p>")
    (folder / "hours.txt").write_text("We open the harbour shop at nine.")
    (folder / "faq.csv").write_text(
        "question,answer\nDo you gift-wrap?,Wrapping costs two coins.\n"
    )
    (folder / "sofas.pdf").write_bytes(pdf("Sofas travel by truck."))
    (folder / "logo.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.md").write_text("Not for readers.")
    return folder


@pytest.fixture
def ingest(knowledge: Knowledge, tmp_path: Path) -> Ingest:
    async def provide() -> Knowledge:
        return knowledge

    async def ingest(path: Path | str, **more: Any) -> dict[str, Any]:
        config = more.pop("config", {})
        graph = build(provide, root=tmp_path).compile()
        return await graph.ainvoke({"path": str(path), **more}, config)

    return ingest


async def answer(knowledge: Knowledge, question: str) -> str:
    return (await knowledge.search(question, tenant="default"))[0].id


async def test_every_format_is_read_and_can_be_found(ingest, knowledge, folder):
    done = await ingest(folder)
    assert (done["version"], done["files"], done["documents"], done["problems"]) == (1, 5, 5, [])
    assert await answer(knowledge, "When do shoes go back?") == "returns#1"
    assert await answer(knowledge, "Is wool washed cold?") == "deep-care#1"
    assert await answer(knowledge, "When does the harbour shop open?") == "hours#1"
    assert await answer(knowledge, "What does wrapping cost?") == "faq-do-you-gift-wrap#1"
    assert await answer(knowledge, "How do sofas travel?") == "sofas#1"
    (first, *_) = await knowledge.search("When do shoes go back?", tenant="default")
    assert first.heading == "Returns \u203a How long"
    listed = {one.document: one.file for one in await knowledge.documents("default")}
    assert listed["deep-care"] == "deep/care.html"


async def test_bad_files_are_reported_and_the_rest_goes_on(ingest, knowledge, folder):
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 torn")
    (folder / "latin.md").write_bytes("Größe".encode("latin-1"))
    (folder / "empty.txt").write_text("")
    (folder / "blank.html").write_text("<nav>Only a menu</nav>")
    (folder / "rows.csv").write_text("question,answer\nWho?,Us.\nWhy?,\n")
    (folder / "gone.md").symlink_to(folder / "nowhere.md")
    done = await ingest(folder)
    reasons = {problem["file"]: problem["reason"] for problem in done["problems"]}
    assert reasons.keys() == {"broken.pdf", "latin.md", "empty.txt", "blank.html", "rows.csv"}
    assert "broken PDF" in reasons["broken.pdf"]
    assert reasons["latin.md"] == "not UTF-8 text"
    assert reasons["blank.html"] == "no text in it"
    assert reasons["rows.csv"] == "line 3: no question or no answer"
    assert (done["documents"], done["version"]) == (6, 1)
    assert await answer(knowledge, "How do sofas travel?") == "sofas#1"


async def test_a_file_that_breaks_keeps_what_was_published_of_it(ingest, knowledge, folder):
    await ingest(folder)
    (folder / "sofas.pdf").write_bytes(b"torn")
    (folder / "hours.txt").write_text("We open the harbour shop at ten.")
    done = await ingest(folder)
    assert [problem["file"] for problem in done["problems"]] == ["sofas.pdf"]
    assert await answer(knowledge, "How do sofas travel?") == "sofas#1"
    assert (await knowledge.search("harbour shop", tenant="default"))[0].text.endswith("ten.")
    assert done["version"] == 2


async def test_only_what_changed_is_embedded(ingest, folder, encoder):
    first = await ingest(folder)
    assert first["chunks"] == len(encoder.seen) == 5
    encoder.seen.clear()
    (folder / "hours.txt").write_text("We open the harbour shop at ten.")
    (folder / "faq.csv").unlink()
    done = await ingest(folder)
    assert encoder.seen == ["Hours\nWe open the harbour shop at ten."]
    assert (done["documents"], done["unchanged"], done["chunks"], done["removed"]) == (4, 3, 1, 1)
    encoder.seen.clear()
    again = await ingest(folder)
    assert (again["version"], again["unchanged"], encoder.seen) == (2, 4, [])


async def test_an_empty_folder_publishes_nothing(ingest, knowledge, folder, tmp_path):
    await ingest(folder)
    for file in folder.rglob("*.*"):
        file.unlink()
    done = await ingest(folder)
    assert done["problems"] == [
        {"file": "docs", "reason": "no document found: nothing was published"}
    ]
    assert done["version"] == 1
    assert len(await knowledge.documents("default")) == 5


async def test_files_of_one_name_are_all_kept(ingest, knowledge, folder):
    (folder / "returns.txt").write_text("Bags go back as well.")
    (folder / "faq.csv").write_text("question,answer\nWhy?,First.\nWhy?,Second.\n")
    await ingest(folder)
    names = {one.document for one in await knowledge.documents("default")}
    assert {"returns", "returns-txt", "faq-why", "faq-why-csv"} <= names


async def test_progress_is_streamed_file_by_file(knowledge, folder, tmp_path):
    async def provide() -> Knowledge:
        return knowledge

    graph = build(provide, root=tmp_path).compile()
    seen = [part async for part in graph.astream({"path": str(folder)}, stream_mode="custom")]
    for step in ("load", "clean", "split", "embed"):
        steps = [part for part in seen if part["step"] == step]
        assert [part["done"] for part in steps] == [1, 2, 3, 4, 5]
        assert {part["total"] for part in steps} == {5}
        assert "sofas.pdf" in {part["file"] for part in steps}
    assert seen[-1] == {"step": "publish", "done": 1, "total": 1, "file": "docs"}


async def test_checkpoints_hold_counters_and_no_texts(knowledge, folder, tmp_path):
    async def provide() -> Knowledge:
        return knowledge

    (folder / "long.md").write_text("A zeppelin flies over the harbour. " * 3000)
    graph = build(provide, root=tmp_path).compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    await graph.ainvoke({"path": str(folder)}, config)
    history = [snapshot async for snapshot in graph.aget_state_history(config)]
    assert len(history) > 5
    assert all(len(repr(snapshot.values)) < 1000 for snapshot in history)


@pytest.mark.parametrize("path", ["/etc", "/etc/passwd", "..", "docs/../../x", "docs/link"])
async def test_nothing_outside_the_allowed_folder_is_read(ingest, folder, path):
    (folder / "link").symlink_to("/etc")
    with pytest.raises(Forbidden, match="folder that was allowed"):
        await ingest(path)


async def test_a_link_out_of_the_folder_is_not_followed(ingest, knowledge, folder, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "secret.md").write_text("The safe opens with 1234.")
    (folder / "inside.md").symlink_to(outside / "secret.md")
    (folder / "deeper").symlink_to(outside)
    done = await ingest(folder)
    assert (done["files"], done["documents"]) == (5, 5)


async def test_a_missing_path_is_not_found(ingest):
    with pytest.raises(NotFound, match=r"nothing\.md does not exist"):
        await ingest("nothing.md")


async def test_one_file_can_be_ingested_alone(ingest, knowledge, folder):
    done = await ingest(folder / "hours.txt")
    assert (done["source"], done["documents"], done["version"]) == ("hours.txt", 1, 1)
    other = await ingest(folder / "logo.png")
    assert other["problems"][0]["reason"].startswith("not one of .csv, .htm")
    assert other["version"] == 1


async def test_the_credential_decides_the_tenant(ingest, knowledge, folder):
    def key(*, trusted: bool) -> dict[str, Any]:
        user = {"identity": "k", "tenant": "shop", "trusted": trusted, "permissions": []}
        return {"configurable": {"langgraph_auth_user": user}}

    with pytest.raises(Forbidden, match="trusted key"):
        await ingest(folder, tenant="rival", config=key(trusted=False))
    await ingest(folder, tenant="rival", config=key(trusted=True))
    assert await knowledge.version("shop") == 1
    assert await knowledge.version("rival") == 0


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from engine.database import open_pool
from engine.knowledge import open_knowledge
from graphs.ingest import build
from tests.fakes.encoder import WordEncoder

class Deadly(WordEncoder):
    async def encode(self, texts):
        if len(self.seen) > 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return await super().encode(texts)

async def main(url, folder):
    async with open_pool(url) as pool, open_knowledge(url, pool, Deadly()) as knowledge:
        async def provide():
            return knowledge
        await build(provide, root=folder.parent).compile().ainvoke({"path": str(folder)})

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


async def test_an_ingest_that_is_killed_leaves_the_old_version_whole(
    ingest, knowledge, folder, database_url
):
    await ingest(folder)
    before = await knowledge.documents("default")
    for n in range(40):
        (folder / f"new-{n}.md").write_text(f"A zeppelin with number {n} flies.")
    (folder / "hours.txt").unlink()
    command = [sys.executable, "-c", KILLED, database_url, str(folder)]
    killed = await asyncio.to_thread(
        subprocess.run, command, check=False, cwd=Path(__file__).parents[2], env=dict(os.environ)
    )
    assert killed.returncode == -signal.SIGKILL
    assert await knowledge.documents("default") == before
    assert await answer(knowledge, "When does the harbour shop open?") == "hours#1"
    done = await ingest(folder)
    assert (done["version"], done["documents"], done["removed"]) == (2, 44, 1)
    assert await answer(knowledge, "zeppelin number 17") == "new-17#1"


async def test_an_ingest_goes_on_after_a_crash_with_what_is_missing(
    database_url, pool, folder, tmp_path
):
    class Failing(WordEncoder):
        async def encode(self, texts: list[str]) -> Any:
            if len(self.seen) > 20:
                raise ConnectionError("the model went away")
            return await super().encode(texts)

    for n in range(40):
        (folder / f"new-{n}.md").write_text(f"A zeppelin with number {n} flies.")
    await migrate(pool, "engine")
    saver = InMemorySaver()
    config = {"configurable": {"thread_id": "1"}}

    async def run(encoder: WordEncoder, given: dict[str, str] | None) -> dict[str, Any]:
        async with (
            open_pool(database_url) as own,
            open_knowledge(database_url, own, encoder) as knowledge,
        ):

            async def provide() -> Knowledge:
                return knowledge

            graph = build(provide, root=tmp_path).compile(checkpointer=saver)
            return await graph.ainvoke(given, config)

    with pytest.raises(ConnectionError):
        await run(Failing(), {"path": str(folder)})
    rest = WordEncoder()
    done = await run(rest, None)
    assert (done["version"], done["documents"]) == (1, 45)
    assert 0 < len(rest.seen) < 30
