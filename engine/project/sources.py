"""A project's graphs: found, told apart, and opened."""

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, get_args, get_origin, get_type_hints

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import StateGraph
from langgraph.pregel import Pregel
from langgraph_sdk.runtime import ServerRuntime, _ServerRuntimeBase

from engine.errors import ConfigError
from engine.factories import Factory, Wanted
from engine.graphs import Source
from engine.project.loading import broken, defined_at, load
from engine.project.manifest import GraphPart, Project


def load_sources(project: Project) -> dict[str, Source]:
    """The project's graphs by id, their modules imported.

    Raises `ConfigError` that names file and line.
    """
    return {id_: _source(project, id_, part) for id_, part in project.graphs.items()}


@asynccontextmanager
async def open_sources(
    project: Project, sources: Mapping[str, Source]
) -> AsyncIterator[Mapping[str, Source]]:
    """The same, those of factories that want nothing built once. Raises `ConfigError`."""
    async with AsyncExitStack() as stack:
        built: dict[str, Source] = {}
        for id_, given in sources.items():
            source = given
            if isinstance(source, Factory) and not source.wants:
                source = await stack.enter_async_context(_once(project, id_, source))
            built[id_] = _compiled(project, id_, source)
        yield built


@asynccontextmanager
async def _once(project: Project, id_: str, factory: Factory) -> AsyncIterator[Source]:
    async with AsyncExitStack() as stack:
        try:
            made = await stack.enter_async_context(factory.once())
        except Exception as error:
            raise broken(project, f"graphs.{id_}", error) from error
        if not isinstance(made, StateGraph | Pregel):
            raise _no_graph(
                project, id_, f"made what is of type {type(made).__name__}, which is no graph"
            )
        yield made


def _compiled(project: Project, id_: str, source: Source) -> Source:
    if not isinstance(source, StateGraph):
        return source
    try:
        return source.compile(name=id_)
    except Exception as error:
        where = defined_at(project, project.graphs[id_].path)
        raise ConfigError(f"{where}: graphs.{id_} cannot be compiled: {error}") from error


def _source(project: Project, id_: str, part: GraphPart) -> Source:
    found = load(project, part.path, f"graphs.{id_}")
    if isinstance(found, StateGraph | Pregel):
        return found
    if not callable(found):
        raise _no_graph(project, id_, f"is of type {type(found).__name__}, which is no graph")
    try:
        return Factory(_callable(found), wanted(found))
    except TypeError as error:
        raise _no_graph(project, id_, str(error)) from error


def _no_graph(project: Project, id_: str, said: str) -> ConfigError:
    path = project.graphs[id_].path
    return ConfigError(f"{defined_at(project, path)}: graphs.{id_}: {path} {said}.")


def _callable(call: Callable[..., Any]) -> Callable[..., AbstractAsyncContextManager[Any] | Any]:
    """A generator without its decorator is a context manager too."""
    if inspect.isasyncgenfunction(call):
        return asynccontextmanager(call)
    if inspect.isgeneratorfunction(call):
        return contextmanager(call)
    return call


def wanted(call: Callable[..., Any]) -> dict[str, Wanted]:
    """Which parameter gets the configuration and which the runtime.

    By type, else by name; the only parameter without either is the configuration. Raises
    `TypeError` for one that cannot be given.
    """
    parameters = list(inspect.signature(call).parameters.values())
    hints = _hints(call)
    found: dict[str, Wanted] = {}
    for parameter in parameters:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        hint = hints.get(parameter.name, parameter.annotation)
        if _is_runtime(hint) or (parameter.name == "runtime" and hint is parameter.empty):
            found[parameter.name] = "runtime"
        elif _is_config(hint) or parameter.name == "config":
            found[parameter.name] = "config"
        elif parameter.default is parameter.empty:
            if len(parameters) > 1:
                raise TypeError(f"asks for {parameter.name}, which is neither config nor runtime")
            found[parameter.name] = "config"
    return found


def _hints(call: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(call)
    except (NameError, TypeError):  # names that only a type checker can resolve
        return {}


def _is_config(hint: Any) -> bool:
    if isinstance(hint, str):
        return "RunnableConfig" in hint
    return hint is RunnableConfig or any(_is_config(part) for part in get_args(hint))


def _is_runtime(hint: Any) -> bool:
    if isinstance(hint, str):
        return "ServerRuntime" in hint
    for one in (hint, get_origin(hint)):
        if one is ServerRuntime or (isinstance(one, type) and issubclass(one, _ServerRuntimeBase)):
            return True
    return get_origin(hint) is not None and any(_is_runtime(part) for part in get_args(hint))
