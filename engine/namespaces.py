"""Whose memory it is: labels that nobody sees stand in front of the store's namespaces.

The first is the tenant, so that no tenant finds what another keeps. For end users a second one is
their identity: each has the whole store for herself. Graphs and back ends, which have the tenant's,
find a person's items under the label of her identity.
"""

from collections.abc import Callable, Iterable
from typing import Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchOp,
    validate_op_namespace,
)

from engine.caller import Caller
from engine.errors import Forbidden
from engine.scope import scope

Namespace = tuple[str, ...]


def of_caller(store: BaseStore, caller: Caller) -> BaseStore:
    """What of the store the caller has. Raises `Forbidden` for a public key."""
    if not caller.lists:
        raise Forbidden("A public key cannot use the store.")
    labels = (label(caller.tenant), *((label(caller.identity),) if caller.alone else ()))
    return Scoped(store, lambda: labels)


def of_tenant(store: BaseStore, tenant: str) -> BaseStore:
    labels = (label(tenant),)
    return Scoped(store, lambda: labels)


def of_runs(store: BaseStore) -> BaseStore:
    """What of the store the tenant has for which the code that is running works."""
    return Scoped(store, _running)


def label(name: str) -> str:
    """The name as a label of a namespace, which may hold no period and is not every label."""
    name = name.replace("%", "%25").replace(".", "%2E").replace("\0", "%00")
    return name.replace("*", "%2A")


def _running() -> Namespace:
    where = scope.get()
    if where is None or not where.tenant:
        raise RuntimeError("Outside of a run nobody knows whose store is meant.")
    return (label(where.tenant),)


class Scoped(BaseStore):
    """The part of a store that is behind `labels`, as if it were all of it."""

    supports_ttl = True

    def __init__(self, store: BaseStore, labels: Callable[[], Namespace]) -> None:
        self._store = store
        self._labels = labels
        self.ttl_config = store.ttl_config

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        labels, asked = self._labels(), list(ops)
        results = await self._store.abatch([_placed(op, labels) for op in asked])
        return [_shown(op, one, len(labels)) for op, one in zip(asked, results, strict=True)]

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """From another thread than that of the loop."""
        labels, asked = self._labels(), list(ops)
        results = self._store.batch([_placed(op, labels) for op in asked])
        return [_shown(op, one, len(labels)) for op, one in zip(asked, results, strict=True)]


def _placed(op: Op, labels: Namespace) -> Op:
    validate_op_namespace(op)
    match op:
        case GetOp() | PutOp():
            return op._replace(namespace=labels + op.namespace)
        case SearchOp():
            return op._replace(namespace_prefix=labels + op.namespace_prefix)
        case ListNamespacesOp():
            depth = None if op.max_depth is None else op.max_depth + len(labels)
            return op._replace(match_conditions=_conditions(op, labels), max_depth=depth)
    raise TypeError(f"not an operation of a store: {op!r}")


def _conditions(op: ListNamespacesOp, labels: Namespace) -> tuple[MatchCondition, ...]:
    """A suffix does not reach into the labels: that many more there must be behind them."""
    given = op.match_conditions or ()
    suffixes = [one for one in given if one.match_type == "suffix"]
    longest = max((len(one.path) for one in suffixes), default=0)
    prefixes = [("*",) * longest, *(tuple(one.path) for one in given if one not in suffixes)]
    return (*suffixes, *(MatchCondition("prefix", labels + path) for path in prefixes))


def _shown(op: Op, result: Any, hidden: int) -> Result:
    if isinstance(op, ListNamespacesOp):
        return [namespace[hidden:] for namespace in result]
    for item in result if isinstance(result, list) else [result]:
        if item is not None:
            item.namespace = item.namespace[hidden:]
    return result  # type: ignore[no-any-return]
