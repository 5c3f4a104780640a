from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from engine.errors import ConfigError
from tools import load

TOOL = """
from dataclasses import dataclass
from pydantic_settings import BaseSettings, SettingsConfigDict
from tools import Result, Run, Tool

class Config(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_")
    url: str = "http://127.0.0.1:1"

@dataclass(frozen=True)
class Hours(Tool):
    '''Tell when the shop is open.'''
    clock: object
    config: Config
    level = "claimed"
    async def __call__(self, day: str, run: Run) -> Result:
        return Result(day)
"""


@pytest.fixture
def drop(tmp_path: Path) -> Callable[[str], str]:
    """Puts a file into an empty tools folder; its module's name, never used before."""

    def _drop(code: str) -> str:
        name = f"dropped_{uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return _drop


def test_a_dropped_file_is_a_tool_with_its_needs_filled(
    drop: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", "http://127.0.0.1:2")
    name = drop(TOOL)
    found = load({"clock": "noon", "other": 1}, [str(tmp_path)])
    assert list(found) == [name]
    assert vars(found[name])["clock"] == "noon"
    assert vars(found[name])["config"].url == "http://127.0.0.1:2"
    assert found[name].level == "claimed"


@pytest.mark.parametrize("code", ["", TOOL + TOOL.replace("Hours", "Doors")])
def test_a_file_holds_exactly_one_tool(
    drop: Callable[[str], str], tmp_path: Path, code: str
) -> None:
    name = drop(code)
    with pytest.raises(ConfigError, match=f"{name}.py must hold exactly one tool"):
        load({"clock": 1}, [str(tmp_path)])


def test_a_need_that_nothing_fills_stops_the_start(
    drop: Callable[[str], str], tmp_path: Path
) -> None:
    drop(TOOL)
    with pytest.raises(ConfigError, match=r"needs \['clock'\]"):
        load({"crm": 1}, [str(tmp_path)])


def test_names_with_an_underscore_are_no_tools(tmp_path: Path) -> None:
    (tmp_path / "_notes.py").write_text("raise RuntimeError('imported')")
    assert load({}, [str(tmp_path)]) == {}
