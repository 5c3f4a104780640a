import logging
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import checkpoints
from engine.errors import ConfigError
from engine.project.installation import import_paths, install, missing
from engine.project.manifest import Project, read_project

Write = Callable[..., Project]


def test_keys_have_the_defaults_of_the_official_server(write: Write) -> None:
    project = write(checkpointer=None, http={"cors": None})
    assert project.graphs["agent"].path == "./agent.py:graph"
    assert project.http.middleware_order == "middleware_first"
    assert project.http.cors is None
    assert project.checkpointer.ttl is None
    assert project.webhooks.env_prefix == "LG_WEBHOOK_"


def test_a_graph_may_have_a_description(write: Write) -> None:
    project = write(graphs={"a": {"path": "a.py:g", "description": "Answers."}, "b": "b:g"})
    assert [one.description for one in project.graphs.values()] == ["Answers.", None]


def test_numbers_and_truth_may_be_written_as_text(write: Write) -> None:
    index = {"dims": "2", "embed": "./embed.py:embed"}
    auth = {"path": "./auth.py:auth", "disable_studio_auth": "false"}
    project = write(store={"index": index}, auth=auth)
    assert project.store.index
    assert project.store.index.dims == 2
    assert project.auth
    assert project.auth.disable_studio_auth is False


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"graphs": {"agent": 7}}, "graphs.agent: Input should be a valid dictionary"),
        ({"graphs": {"agent": "agent.py"}}, "graphs.agent.path: String should match"),
        ({"graphs": {}}, "graphs: a project has at least one graph"),
        ({"dependencies": "."}, "dependencies: Input should be a valid list"),
        (
            {"store": {"index": {"dims": "two", "embed": "a:b"}}},
            "store.index.dims: Input should be",
        ),
        ({"store": {"index": {"dims": 2}}}, "store.index.embed: Field required"),
        ({"checkpointer": {"ttl": {"strategy": "burn"}}}, "checkpointer.ttl.strategy: Input"),
        ({"http": {"disable_mcp": "perhaps"}}, "http.disable_mcp: Input should be a valid boolean"),
        ({"http": {"mount_prefix": "api/"}}, "http.mount_prefix: String should match"),
        ({"encryption": {"path": "a.py:e"}}, "encryption: is not supported"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(
    write: Write, tmp_path: Path, keys: Any, said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        write(**keys)
    assert str(raised.value).startswith(f"{tmp_path}/langgraph.json: {said}")


def test_a_file_that_is_no_json_is_told_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "langgraph.json"
    file.write_text('{\n  "graphs": {,}\n}')
    with pytest.raises(ConfigError, match=r"langgraph\.json:2: Expecting property name"):
        read_project(file)
    with pytest.raises(ConfigError, match="does not exist"):
        read_project(tmp_path / "other.json")


def test_unknown_keys_are_warned_of_and_those_of_image_builders_are_not(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "engine.project.manifest"):
        write(
            grahps={},
            http={"apps": "x", "cors": {"alow_origins": []}},
            ui={"agent": "./ui.tsx"},
            dockerfile_lines=["RUN true"],
            image_distro="wolfi",
            api_version="0.5",
            pip_config_file="pip.conf",
            keep_pkg_tools=True,
            auth={"path": "./auth.py:auth", "cache": {"ttl_seconds": 60}},
        )
    keys = [
        record.getMessage().partition(".json: ")[2].partition(": ")[0] for record in caplog.records
    ]
    assert keys == ["ui", "auth.cache", "grahps", "http.apps", "http.cors.alow_origins"]


@pytest.mark.usefixtures("imports_as_before")
def test_variables_never_override_those_that_are_set(write: Write, tmp_path: Path) -> None:
    (tmp_path / "vars").write_text("A=file\nB='quoted'\n# C=1\n")
    environ = {"A": "real"}
    install(write(env="./vars", checkpointer={"ttl": {"default_ttl": 30}}), environ)
    assert environ == {
        "A": "real",
        "B": "quoted",
        "FRONTDESK_THREAD_TTL_MINUTES": "30.0",
        "FRONTDESK_THREAD_TTL_STRATEGY": "delete",
    }
    install(write(env={"A": "object", "D": "4"}), environ)
    assert (environ["A"], environ["D"]) == ("real", "4")


@pytest.mark.usefixtures("imports_as_before")
def test_what_is_missing_is_said_and_stops_nobody(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(write(dependencies=["pydantic>=2", "langgraph[extra]", "git+https://x.test/y"]), {})
    assert not caplog.messages
    names = ["no-such-thing", "pydantic<1", "langgraph", "./gone"]
    install(write(env=".env", dependencies=names), {})
    file = tmp_path / "langgraph.json"
    assert caplog.messages == [
        f"{file}: env: {tmp_path}/.env does not exist, so no variable is set by it",
        f"{file}: dependencies: {tmp_path}/gone does not exist",
        f"{file}: dependencies: not installed here. Run: pip install 'no-such-thing' 'pydantic<1'",
    ]


@pytest.mark.usefixtures("imports_as_before")
def test_a_project_is_looked_into_before_the_folder_that_we_are_developed_in(
    write: Write, tmp_path: Path
) -> None:
    root = str(Path(checkpoints.__file__).parents[1])
    sys.path.insert(0, root)
    install(write(dependencies=["."]), {})
    assert sys.path.index(str(tmp_path)) < sys.path.index(root)


@pytest.mark.usefixtures("imports_as_before")
def test_a_file_among_the_dependencies_means_its_folder(write: Write, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    for name in ("lib/pyproject.toml", "requirements.txt"):
        (tmp_path / name).touch()
    project = write(dependencies=["./lib/pyproject.toml", "requirements.txt"])
    assert list(missing(project)) == []
    assert import_paths(project) == [tmp_path, tmp_path / "lib"]


@pytest.mark.usefixtures("imports_as_before")
def test_local_dependencies_can_be_imported(write: Write, tmp_path: Path) -> None:
    (tmp_path / "lib" / "src" / "project_lib_x").mkdir(parents=True)
    (tmp_path / "lib" / "src" / "project_lib_x" / "__init__.py").write_text("VALUE = 1")
    project = write(dependencies=["./lib"])
    install(project, {})
    assert import_paths(project) == [tmp_path, tmp_path / "lib", tmp_path / "lib" / "src"]
    import project_lib_x  # type: ignore[import-not-found]

    assert project_lib_x.VALUE == 1


@pytest.mark.usefixtures("imports_as_before")
def test_a_project_may_have_packages_that_are_called_like_ours(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tools.py").write_text("MINE = 'tools'")
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "one.py").write_text("from tools import MINE")
    (tmp_path / "engine.py").write_text("")
    before = sys.modules["engine"]
    install(write(), {})
    import nodes.one  # type: ignore[import-not-found]

    assert nodes.one.MINE == "tools"
    assert sys.modules["engine"] is before
    assert "import engine means a package of Frontdesk" in caplog.text


@pytest.mark.usefixtures("imports_as_before")
def test_another_python_is_warned_of(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    install(write(python_version="3.99"), {})
    assert f"asks for 3.99, this is {platform.python_version()}" in caplog.text
    caplog.clear()
    install(write(python_version=".".join(platform.python_version_tuple()[:2])), {})
    assert not caplog.records


def test_headers_of_webhooks_are_filled_in_from_variables_with_the_prefix(write: Write) -> None:
    environ = {"LG_WEBHOOK_KEY": "k1", "PATH": os.environ["PATH"]}

    def headers(value: str) -> dict[str, str]:
        return write(webhooks={"headers": {"x-key": value}}).webhook_headers(environ)

    assert headers("Bearer ${{ env.LG_WEBHOOK_KEY }}!") == {"x-key": "Bearer k1!"}
    with pytest.raises(ConfigError, match=r"webhooks\.headers: PATH does not begin with LG_"):
        headers("${{ env.PATH }}")
    with pytest.raises(ConfigError, match=r"webhooks\.headers: LG_WEBHOOK_NO is not set"):
        headers("${{env.LG_WEBHOOK_NO}}")
