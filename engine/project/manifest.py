"""A project as its `langgraph.json` describes it."""

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from engine.errors import ConfigError

log = logging.getLogger(__name__)

Json = dict[str, Any]

_INERT = frozenset(
    {
        "$schema",
        "_INTERNAL_docker_tag",
        "api_version",
        "base_image",
        "building_tools_to_uninstall",
        "dockerfile_lines",
        "image_distro",
        "keep_pkg_tools",
        "pip_config_file",
        "pip_installer",
        "source",
    }
)
"""Keys that say how an image is built."""

_TEMPLATE = re.compile(r"\$\{\{\s*env\.(\w+)\s*\}\}")


class Part(BaseModel):
    """An object of the file. Null means not given; unknown keys are kept, to be told of.

    Numbers and truth values may be written as text, as they are in projects that others serve.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data

    def unknown(self) -> Iterator[str]:
        """The unknown keys in it and below, as dotted paths."""
        yield from self.model_extra or ()
        for name in type(self).model_fields:
            value = getattr(self, name)
            below = value if isinstance(value, dict) else {"": value}
            for key, part in below.items():
                if isinstance(part, Part):
                    prefix = f"{name}.{key}" if key else name
                    yield from (f"{prefix}.{one}" for one in part.unknown())


class GraphPart(Part):
    """Where a graph is: `path/file.py:name` or `module:name`."""

    path: str = Field(pattern=r"^.+:[^:/\\]+$")
    description: str | None = None


class IndexPart(Part):
    """How the store finds items by meaning."""

    dims: int = Field(ge=1)
    embed: str
    fields: list[str] | None = None


class StoreTtlPart(Part):
    """When the store's items go; minutes."""

    refresh_on_read: bool = True
    default_ttl: float | None = Field(None, gt=0)
    sweep_interval_minutes: float | None = Field(None, gt=0)


class StorePart(Part):
    """The long-term memory."""

    index: IndexPart | None = None
    ttl: StoreTtlPart | None = None


class ThreadTtlPart(Part):
    """When threads go; minutes."""

    strategy: Literal["delete", "keep_latest"] = "delete"
    default_ttl: float | None = Field(None, gt=0)
    sweep_interval_minutes: float | None = Field(None, gt=0)
    sweep_limit: int | None = Field(None, ge=1)


class CheckpointerPart(Part):
    """Checkpoints: of this only the time that threads live has an effect."""

    path: str | None = None
    ttl: ThreadTtlPart | None = None
    serde: Json | None = None


class AuthPart(Part):
    """Where the project's `Auth` is."""

    path: str = Field(pattern=r"^.+:[^:/\\]+$")
    disable_studio_auth: bool = False
    openapi: Json | None = None
    cache: Json | None = None


class CorsPart(Part):
    """What browsers on other sites may do; given, it replaces our defaults."""

    allow_origins: list[str] | None = None
    allow_methods: list[str] | None = None
    allow_headers: list[str] | None = None
    allow_credentials: bool = False
    allow_origin_regex: str | None = None
    expose_headers: list[str] = Field(default_factory=list)
    max_age: int = 600


class HeadersPart(Part):
    """Names of headers, in which `*` stands for anything; what is excluded is not included."""

    includes: list[str] = Field(default_factory=list)
    excludes: list[str] = Field(default_factory=list)


class HttpPart(Part):
    """The HTTP side of a server."""

    app: str | None = Field(None, pattern=r"^.+:[^:/\\]+$")
    disable_assistants: bool = False
    disable_threads: bool = False
    disable_runs: bool = False
    disable_crons: bool = False
    disable_store: bool = False
    disable_mcp: bool = False
    disable_a2a: bool = False
    disable_meta: bool = False
    disable_ui: bool = False
    disable_webhooks: bool = False
    cors: CorsPart | None = None
    configurable_headers: HeadersPart = HeadersPart()
    logging_headers: HeadersPart | None = None
    middleware_order: Literal["auth_first", "middleware_first"] = "middleware_first"
    enable_custom_route_auth: bool = False
    mount_prefix: str = Field("", pattern=r"^(/.*[^/])?$")


class UrlPart(Part):
    """Where webhooks may go."""

    require_https: bool = False
    allowed_domains: list[str] | None = None
    allowed_ports: list[int] | None = None
    max_url_length: int | None = Field(None, ge=1)
    disable_loopback: bool = True


class WebhooksPart(Part):
    """How webhooks are delivered."""

    env_prefix: str = "LG_WEBHOOK_"
    url: UrlPart = UrlPart()
    headers: dict[str, str] = Field(default_factory=dict)


class Project(Part):
    """All of it. Without a file: nothing, with every default."""

    file: Path | None = Field(None, exclude=True)
    graphs: dict[str, GraphPart] = Field(default_factory=dict)
    dependencies: list[str] = Field(default_factory=list)
    env: dict[str, str] | str = Field(default_factory=dict)
    python_version: str | None = None
    node_version: str | None = None
    store: StorePart = StorePart()
    checkpointer: CheckpointerPart = CheckpointerPart()
    auth: AuthPart | None = None
    encryption: Json | None = None
    priority: Json | None = None
    http: HttpPart = HttpPart()
    webhooks: WebhooksPart = WebhooksPart()
    ui: Json | None = None
    ui_config: Json | None = None

    @field_validator("graphs", mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: {"path": one} if isinstance(one, str) else one for key, one in value.items()}

    @property
    def folder(self) -> Path:
        """What paths are relative to."""
        return self.file.parent if self.file else Path()

    @property
    def descriptions(self) -> dict[str, str]:
        """What is said of graphs, by their id."""
        return {id_: one.description for id_, one in self.graphs.items() if one.description}

    def problem(self, key: str, said: str) -> ConfigError:
        """The error that says what is wrong with a key, and where it is."""
        return ConfigError(f"{self.file}: {key}: {said}")

    def webhook_headers(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The headers of deliveries, `${{ env.NAME }}` filled in.

        Raises `ConfigError` for a variable that is not set, or has not the prefix.
        """

        def filled(match: re.Match[str]) -> str:
            name = match[1]
            if not name.startswith(self.webhooks.env_prefix):
                said = f"{name} does not begin with {self.webhooks.env_prefix}"
                raise self.problem("webhooks.headers", said)
            if name not in environ:
                raise self.problem("webhooks.headers", f"{name} is not set")
            return environ[name]

        headers = self.webhooks.headers
        return {name: _TEMPLATE.sub(filled, value) for name, value in headers.items()}


NO_PROJECT = Project()


def read_project(file: Path) -> Project:
    """Raises `ConfigError` that names file and key; what has no effect is logged as a warning."""
    path = file.resolve()
    project = _parsed(path, _loaded(path))
    if not project.graphs:
        raise project.problem("graphs", "a project has at least one graph")
    if project.encryption:
        raise project.problem(
            "encryption", "is not supported: set FRONTDESK_CHECKPOINT_KEYS to encrypt checkpoints"
        )
    for key, said in _without_effect(project):
        log.warning("%s: %s: %s", path, key, said)
    return project


def _loaded(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: {error.msg}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _parsed(path: Path, data: Any) -> Project:
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: the file holds no JSON object.")
    try:
        return Project.model_validate({**data, "file": path})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where}: {first['msg']}") from error


def _without_effect(project: Project) -> Iterator[tuple[str, str]]:
    if project.ui or project.ui_config:
        yield "ui", "components are not served here"
    if project.node_version:
        yield "node_version", "has no effect: only graphs in Python are served"
    if project.priority:
        yield "priority", "has no effect: runs are served in the order they were asked for"
    if project.checkpointer.path:
        yield "checkpointer.path", "has no effect: see FRONTDESK_CHECKPOINTER"
    if project.checkpointer.serde:
        yield "checkpointer.serde", "has no effect: the types of a graph's schemas are allowed"
    if project.auth and project.auth.cache:
        yield "auth.cache", "has no effect: the authenticator is asked every time"
    for key in project.unknown():
        if key not in _INERT:
            yield key, "is not a key that is known here, so it has no effect"
