from typing import Any

import pytest

from engine.protocol.channels import Filter, is_channel
from engine.protocol.telling import Item
from engine.protocol.translate import Told

DEEP = ("child:1", "leaf:2")


def told(method: str, namespace: tuple[str, ...] = (), data: Any = None, seq: int = 1) -> Told:
    return Told(seq, "id", Item(method, namespace, data), 0)


@pytest.mark.parametrize(
    ("asked", "namespace", "expected"),
    [
        ({}, DEEP, True),
        ({"namespaces": []}, DEEP, True),
        ({"namespaces": [["child"]]}, DEEP, True),
        ({"namespaces": [["child:1"]]}, DEEP, True),
        ({"namespaces": [["child:2"]]}, DEEP, False),
        ({"namespaces": [["chi"]]}, DEEP, False),
        ({"namespaces": [["child", "leaf", "more"]]}, DEEP, False),
        ({"namespaces": [["other"], ["child"]]}, DEEP, True),
        ({"namespaces": [["child"]], "depth": 0}, DEEP, False),
        ({"namespaces": [["child"]], "depth": 1}, DEEP, True),
        ({"namespaces": [[]], "depth": 0}, (), True),
        ({"namespaces": [[]], "depth": 0}, DEEP, False),
        ({"namespaces": [["child"]]}, (), False),
        ({"namespaces": "child", "depth": "0", "since": "9"}, DEEP, True),
        ({"since": 1}, (), False),
    ],
    ids=str,
)
def test_a_filter_wants_what_lies_below_its_namespaces(
    asked: dict[str, Any], namespace: tuple[str, ...], expected: bool
) -> None:
    wanted = Filter.of({"channels": ["values"], **asked})
    assert wanted.wants(told("values", namespace)) is expected


@pytest.mark.parametrize(
    ("channels", "method", "data", "expected"),
    [
        (["input"], "input.requested", {}, True),
        (["values"], "input.requested", {}, False),
        (["custom"], "custom", {"name": "a"}, True),
        (["custom:a"], "custom", {"name": "a"}, True),
        (["custom:b"], "custom", {"name": "a"}, False),
        (["custom:b"], "custom", "text", False),
    ],
    ids=str,
)
def test_a_channel_carries_its_own_events(
    channels: list[str], method: str, data: Any, expected: bool
) -> None:
    assert Filter.of({"channels": channels}).wants(told(method, data=data)) is expected


def test_every_name_is_a_custom_channel() -> None:
    assert is_channel("custom:anything")
    assert not any(map(is_channel, ["custom:", "bogus", 5, None]))
