"""What a process serves: our own desk, or the project of a `langgraph.json`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from engine import logs
from engine.graphs import Admit
from engine.settings import Settings
from server.app import Followers, OpenGraphs, create_app, nothing_follows, open_worker
from server.hosting.hosted import NOTHING, Hosted, host, prepare


@dataclass(frozen=True)
class Served:
    """All that the server and a worker are opened with."""

    settings: Settings
    open_graphs: OpenGraphs
    admit: Mapping[str, Admit] = field(default_factory=dict)
    followers: Followers = nothing_follows
    hosted: Hosted = NOTHING

    def app(self) -> FastAPI:
        """The ASGI app. Raises `ConfigError`."""
        return create_app(
            self.settings, self.open_graphs, self.admit, self.followers, hosted=self.hosted
        )

    async def work(self) -> None:
        """Execute runs until the process is told to stop."""
        await open_worker(self.settings, self.open_graphs, self.followers, self.hosted)


def read_settings(**changes: Any) -> Settings:
    """From the environment, with what was asked for on the command line. Raises `ConfigError`."""
    given = {name: value for name, value in changes.items() if value is not None}
    found = Settings(**given)
    found.check()
    return found


def served(config: Path | None, **changes: Any) -> Served:
    """Our desk, or the project whose `langgraph.json` that is. Raises `ConfigError`."""
    if config is None:
        from server.desk import DOORS, followers, open_desk  # noqa: PLC0415 - a second

        found = read_settings(**changes)
        logs.configure(found)
        return Served(found, open_desk, DOORS, followers)
    logs.configure(Settings())  # for warnings of what is in the file
    project = prepare(config)
    found = read_settings(demo=False, **changes)
    found = found.model_copy(update={"data": found.data.absolute()})
    logs.configure(found)
    os.chdir(project.folder)  # its code opens files by names relative to it
    hosted = host(project)
    return Served(found, hosted.open_graphs, hosted=hosted)
