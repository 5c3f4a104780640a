"""A project, ready to be served: its graphs, its own app, its handlers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from langgraph_sdk import Auth
from starlette.applications import Starlette

from engine.database import Pool
from engine.embedded import Servers
from engine.graphs import Source
from engine.project.installation import install
from engine.project.loading import defined_at, load
from engine.project.manifest import NO_PROJECT, AuthPart, Project, read_project
from engine.project.sources import load_sources, open_sources
from engine.settings import Settings
from server.auth.authentication import Door
from server.auth.handlers import Handlers
from server.hosting import loopback
from server.hosting.beside import documented, without_documentation
from server.hosting.disabled import disabled, without
from server.hosting.headers import Chosen


@dataclass(frozen=True)
class Hosted:
    """What a server knows of the project it serves; with nothing, there is none."""

    project: Project = NO_PROJECT
    sources: Mapping[str, Source] = field(default_factory=dict)
    app: Starlette | None = None
    handlers: Handlers | None = None

    @asynccontextmanager
    async def open_graphs(
        self, settings: Settings, servers: Servers, pool: Pool
    ) -> AsyncIterator[Mapping[str, Source]]:
        """For `create_app`."""
        async with open_sources(self.project, self.sources) as sources:
            yield sources

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[Mapping[str, Any]]:
        """What the project's own app opens, and what it puts into the state of requests."""
        if self.app is None:
            yield {}
            return
        async with self.app.router.lifespan_context(self.app) as state:
            yield state or {}

    def door(self, settings: Settings) -> Door:
        """Who gets in. Raises `ConfigError`."""
        auth = self.project.auth
        studio = not (auth and auth.disable_studio_auth)
        return Door(settings, self.handlers, studio_auth=studio)

    def document(self, app: FastAPI) -> None:
        """Let the API's document show what is served."""
        original = app.openapi

        def openapi() -> dict[str, Any]:
            document = without(original(), self.disabled)
            if self.app:
                document = documented(document, self.app)
            return secured(document, self.project.auth)

        app.openapi = openapi  # type: ignore[method-assign]

    @cached_property
    def headers(self) -> Chosen:
        """Those of requests that graphs find in `configurable`."""
        return Chosen.of(self.project.http.configurable_headers)

    @cached_property
    def disabled(self) -> frozenset[str]:
        """The parts of the API that the project takes away."""
        return disabled(self.project.http)


def secured(document: dict[str, Any], auth: AuthPart | None) -> dict[str, Any]:
    """An OpenAPI document that tells how the project wants to be called."""
    if auth is None or not (said := auth.openapi):
        return document
    components = {**document.get("components", {})}
    components["securitySchemes"] = said.get("securitySchemes", {})
    paths = dict(document["paths"])
    for path, methods in said.get("paths", {}).items():
        asked = {method.lower(): {"security": one} for method, one in methods.items()}
        operations = paths.get(path, {})
        changed = {
            name: {**operations[name], **asked[name]} for name in asked if name in operations
        }
        if operations:
            paths[path] = {**operations, **changed}
    return {
        **document,
        "components": components,
        "security": said.get("security", []),
        "paths": paths,
    }


NOTHING = Hosted()


def prepare(file: Path) -> Project:
    """Read a project, and set what its code and our settings find in the environment.

    Raises `ConfigError`, as `host` does.
    """
    project = read_project(file)
    install(project)
    return project


def host(project: Project) -> Hosted:
    """Import everything that the project names. No loop may run: its modules may start one."""
    loopback.prepare()
    return Hosted(project, load_sources(project), _app(project), _handlers(project))


def _app(project: Project) -> Starlette | None:
    if not (path := project.http.app):
        return None
    app = load(project, path, "http.app")
    if not isinstance(app, Starlette):
        said = f"{path} is no Starlette or FastAPI app ({defined_at(project, path)})"
        raise project.problem("http.app", said)
    without_documentation(app)
    return app


def _handlers(project: Project) -> Handlers | None:
    if not project.auth:
        return None
    path = project.auth.path
    auth = load(project, path, "auth.path")
    if not isinstance(auth, Auth):
        said = f"{path} is no langgraph_sdk.Auth ({defined_at(project, path)})"
        raise project.problem("auth.path", said)
    return Handlers(auth)
