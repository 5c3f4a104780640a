from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.database import Pool
from engine.errors import ConfigError
from engine.memory import open_memory
from engine.project.manifest import NO_PROJECT, Project
from engine.settings import Settings

Write = Callable[..., Project]

EMBED = """
async def embed(texts):
    return [[float(word in text) for word in ("cat", "dog")] for text in texts]
"""


@pytest.mark.usefixtures("imports_as_before")
async def test_an_index_finds_by_what_the_projects_function_makes_of_texts(
    write: Write, tmp_path: Path, settings: Settings, pool: Pool
) -> None:
    (tmp_path / "embed_them.py").write_text(EMBED)
    index = {"dims": 2, "embed": "./embed_them.py:embed", "fields": ["text"]}
    project = write(store={"index": index, "ttl": {"default_ttl": 10}})
    async with open_memory(project, settings, pool) as store:
        assert store.ttl_config
        assert store.ttl_config.get("default_ttl") == 10
        await store.aput(("a",), "1", {"text": "a dog", "other": "cat"})
        await store.aput(("a",), "2", {"text": "a cat"})
        found = await store.asearch(("a",), query="cat", limit=1)
    assert [item.key for item in found] == ["2"]
    index["dims"] = 3
    with pytest.raises(ConfigError, match=r"langgraph\.json: store\.index\.dims: .* 2 dim"):
        async with open_memory(write(store={"index": index}), settings, pool):
            pass


@pytest.mark.parametrize(
    ("embed", "said"),
    [
        ("local:minilm", r"store\.index\.dims: local:minilm has 384 dimensions"),
        ("nonsense", r"store\.index\.embed: nonsense is neither"),
        ("./gone.py:embed", r"store\.index\.embed: the file .*gone\.py does not exist"),
        ("unheard:of", r"store\.index\.embed: "),
    ],
)
async def test_an_index_that_cannot_be_is_told(
    write: Write, settings: Settings, pool: Pool, embed: str, said: str
) -> None:
    project = write(store={"index": {"dims": 7, "embed": embed}})
    with pytest.raises(ConfigError, match=said):
        async with open_memory(project, settings, pool):
            pass


async def test_without_a_project_there_is_a_store_without_an_index(
    settings: Settings, pool: Pool
) -> None:
    async with open_memory(NO_PROJECT, settings, pool) as store:
        await store.aput(("a",), "1", {"text": "a dog"})
        found: list[Any] = await store.asearch(("a",), query="anything")
    assert [item.key for item in found] == ["1"]
