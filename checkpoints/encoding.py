"""Values as bytes: how the elements of a checkpoint are written down.

A stored format. The first byte of an element tells what it is:

0x92  msgpack array of two. [number, fields]: a message of the class with that number in `_CLASSES`.
      [type, data]: what the serializer made of the value, of any type but "msgpack".
0x01  followed by the data of the serializer's type "msgpack".
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import ormsgpack
from langchain_core import messages
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import BaseModel, ValidationError

from checkpoints.errors import Undecipherable

_PAIR = 0x92
_MSGPACK = 0x01

# The numbers are stored: never change one, and never give one to another class.
_CLASSES: dict[int, type[messages.BaseMessage]] = {
    1: messages.HumanMessage,
    2: messages.AIMessage,
    3: messages.SystemMessage,
    4: messages.ToolMessage,
    5: messages.FunctionMessage,
    6: messages.ChatMessage,
    7: messages.RemoveMessage,
    8: messages.HumanMessageChunk,
    9: messages.AIMessageChunk,
    10: messages.SystemMessageChunk,
    11: messages.ToolMessageChunk,
    12: messages.FunctionMessageChunk,
    13: messages.ChatMessageChunk,
}
_NUMBERS = {cls: number for number, cls in _CLASSES.items()}
_KNOWN = {number: (cls, set(cls.model_fields)) for number, cls in _CLASSES.items()}

# With these, and without a default hook, packing fails on all that would not read back as it was.
_PLAIN_ONLY = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

# The slots that `BaseModel.__setstate__` sets, set without it: a third off reading a long thread.
_new = object.__new__
_set_fields, _set_names, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__
    for slot in (
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    )
)


class Encoding:
    """Python values to bytes of single elements and back, under one serializer.

    `splits` tells whether items of a list and entries of a dict may be encoded one by one. Only
    LangGraph's own serializer is known to make the same of a list as of its items; under any
    other a value is its to encode, messages too.
    """

    def __init__(self, serde: SerializerProtocol) -> None:
        self.serde = serde
        # A subclass, or a hook of the user's, may treat values by what surrounds them.
        self.splits = type(serde) is JsonPlusSerializer and not getattr(
            serde, "_custom_unpack_ext_hook", False
        )

    def encode(self, value: Any) -> bytes:
        """The element, a copy. Raises what the serializer raises for what it cannot take."""
        if self.splits and (number := _NUMBERS.get(type(value))) is not None:
            element = _plain_message(number, value)
            if element is not None:
                return element
        kind, data = self.serde.dumps_typed(value)
        if kind == "msgpack":
            return b"\x01" + data
        return ormsgpack.packb([kind, data])

    def decode(self, element: bytes) -> Any:
        """The value of one element. Raises `Undecipherable`, and what the serializer raises."""
        if element[0] == _MSGPACK:
            return self.serde.loads_typed(("msgpack", element[1:]))
        return self.decode_all([element])[0]

    def decode_all(self, elements: Sequence[bytes]) -> list[Any]:
        """The values in order, neighbours of one format in one go."""
        values: list[Any] = []
        for tag, alike in groupby(elements, key=itemgetter(0)):
            if tag == _PAIR:
                values += self._pairs(list(alike))
            elif tag == _MSGPACK:
                values += self._payloads([element[1:] for element in alike])
            else:
                raise Undecipherable(f"no element starts with {tag:#04x}")
        return values

    def _pairs(self, elements: list[bytes]) -> list[Any]:
        values = []
        for kind, data in ormsgpack.unpackb(_array(elements)):
            known = _KNOWN.get(kind)
            if known is None:
                values.append(self._typed(kind, data))
            elif data.keys() != known[1]:
                values.append(_of_another_version(known[0], data))
            else:
                message = _new(known[0])
                _set_fields(message, data)
                _set_names(message, known[1].copy())  # a copy: assigning an extra field adds to it
                _set_extra(message, {})
                _set_private(message, None)
                values.append(message)
        return values

    def _payloads(self, payloads: list[bytes]) -> Iterable[Any]:
        if self.splits:
            return self.serde.loads_typed(("msgpack", _array(payloads)))  # type: ignore[no-any-return]
        return [self.serde.loads_typed(("msgpack", payload)) for payload in payloads]

    def _typed(self, kind: int | str, data: bytes) -> Any:
        if isinstance(kind, int):
            raise Undecipherable(f"there is no message class {kind}")
        return self.serde.loads_typed((kind, data))


def _plain_message(number: int, message: messages.BaseMessage) -> bytes | None:
    fields = message.__dict__
    if message.__pydantic_extra__ or message.__pydantic_private__ is not None:
        return None
    if len(fields) != len(_KNOWN[number][1]):  # built unchecked, or with something cached in it
        return None
    try:
        return ormsgpack.packb([number, fields], option=_PLAIN_ONLY)
    except ormsgpack.MsgpackEncodeError:
        return None


def _of_another_version(cls: type[BaseModel], fields: dict[str, Any]) -> BaseModel:
    """A message whose class had other fields when it was stored."""
    try:
        return cls(**fields)
    except ValidationError:
        return cls.model_construct(**fields)


def _array(items: list[bytes]) -> bytes:
    return b"\xdd" + len(items).to_bytes(4, "big") + b"".join(items)
