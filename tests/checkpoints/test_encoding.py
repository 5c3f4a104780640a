"""What the elements of a checkpoint read back as, against LangGraph's own serializer."""

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import os
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import numpy
import ormsgpack
import pydantic
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from langchain_core import messages
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    ToolMessageChunk,
)
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from checkpoints import encoding as module
from checkpoints.encoding import Encoding
from checkpoints.errors import Undecipherable


class Size(enum.Enum):
    SMALL = "s"


class Order(pydantic.BaseModel):
    number: int


@dataclasses.dataclass
class Parcel:
    weight: float


class Note(HumanMessage):
    """A message class of an application's own."""


STRICT = JsonPlusSerializer(allowed_msgpack_modules=None)
KNOWING = JsonPlusSerializer(allowed_msgpack_modules=[Size, Order, Parcel, Note])
PAIR, MSGPACK = 0x92, 0x01

CALL = {"name": "track", "args": {"order": "A-1", "deep": [1, {"x": None}]}, "id": "call_1"}
BROKEN_CALL = {"name": "track", "args": "{", "id": "call_2", "error": "not JSON"}
USAGE = {
    "input_tokens": 12,
    "output_tokens": 3,
    "total_tokens": 15,
    "input_token_details": {"cache_read": 4},
}
BLOCKS: list[str | dict[Any, Any]] = [
    "plain",
    {"type": "text", "text": "é\0🚚", "annotations": [{"type": "citation", "url": "https://a.b"}]},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "thinking", "thinking": "hm", "signature": "x" * 300},
]


def seen(value: Any) -> str:
    """All there is to see of a value, order and types included; NaN is like NaN."""
    if not isinstance(value, BaseMessage):
        return f"{type(value)} {value!r}"
    return repr(
        (
            type(value),
            {name: seen(field) for name, field in value.__dict__.items()},
            sorted(value.__pydantic_fields_set__),
            value.__pydantic_extra__,
            value.__pydantic_private__,
        )
    )


def each(name: str, values: Sequence[Any]) -> pytest.MarkDecorator:
    ids = [f"{at}-{type(value).__name__}" for at, value in enumerate(values)]
    return pytest.mark.parametrize(name, values, ids=ids)


def unless_refused(call: Callable[[], Any]) -> str | None:
    try:
        return seen(call())
    except TypeError:
        return None


def assert_reads_as_with_the_serializer(
    value: Any, serde: JsonPlusSerializer = STRICT, *, tag: int | None = None
) -> None:
    encoding = Encoding(serde)
    element = encoding.encode(value)
    expected = seen(serde.loads_typed(serde.dumps_typed(value)))
    assert seen(encoding.decode(element)) == expected
    assert [seen(each) for each in encoding.decode_all([element, element])] == [expected] * 2
    assert tag is None or element[0] == tag


PLAIN_MESSAGES = [
    HumanMessage("hello"),
    HumanMessage("", id="1", name="Ann"),
    HumanMessage(BLOCKS, id="é" * 40),
    HumanMessage("x" * 100_000),
    SystemMessage("be kind", additional_kwargs={"cache_control": {"type": "ephemeral"}}),
    AIMessage("hi", response_metadata={"logprobs": None, "p": [0.1, -1, 2**63, 1e300]}),
    AIMessage(BLOCKS, tool_calls=[CALL], invalid_tool_calls=[BROKEN_CALL], usage_metadata=USAGE),
    AIMessage("", tool_calls=[CALL, CALL], id="lc_run--1"),
    AIMessage("nan", additional_kwargs={"v": [float("nan"), float("inf"), -0.0]}),
    AIMessage("bytes", additional_kwargs={"v": [b"\x00\xff", bytearray(b"ab"), memoryview(b"c")]}),
    AIMessage("range", additional_kwargs={"v": [2**64 - 1, -(2**63), True, None]}),
    ToolMessage("ok", tool_call_id="call_1", artifact={"rows": [[1, 2.5, "x"]]}, name="track"),
    ToolMessage(["part", {"type": "text", "text": "t"}], tool_call_id="c", status="error"),
    FunctionMessage("1", name="old"),
    ChatMessage("hm", role="critic"),
    RemoveMessage(id="7"),
    AIMessageChunk(
        "a",
        tool_call_chunks=[{"name": "track", "args": '{"a":', "id": "c", "index": 0}],
        usage_metadata=USAGE,
        chunk_position="last",
    ),
    ToolMessageChunk("a", tool_call_id="c"),
    messages.HumanMessageChunk("a"),
    messages.SystemMessageChunk("a"),
    messages.FunctionMessageChunk("a", name="f"),
    messages.ChatMessageChunk("a", role="r"),
    HumanMessage.model_validate({"content": "validated"}),
    HumanMessage("copied").model_copy(update={"id": "9"}),
]


@each("message", PLAIN_MESSAGES)
def test_a_plain_message_is_stored_as_its_fields_and_reads_as_with_the_serializer(
    message: BaseMessage,
) -> None:
    assert_reads_as_with_the_serializer(message, tag=PAIR)


UNUSUAL_VALUES = [
    (1, (2,)),
    {1, 2},
    frozenset({1}),
    {1: "a", (2, 3): "b", None: "c", 2.5: "d"},
    collections.OrderedDict(a=1),
    collections.defaultdict(list, a=[1]),
    collections.deque([1]),
    Size.SMALL,
    Order(number=3),
    Parcel(weight=1.5),
    HumanMessage("inner"),
    Document("text", metadata={"page": 1}),
    decimal.Decimal("1.20"),
    datetime.datetime(2026, 5, 9, 7, 35, tzinfo=datetime.UTC),
    datetime.date(2026, 5, 9),
    datetime.timedelta(1, 2, 3),
    uuid.UUID(int=7),
    numpy.arange(4).reshape(2, 2),
    ValueError("kept as its repr"),
    "lone \ud800 surrogate",
    messages.base.TextAccessor("a string, of a subclass"),
]


@each("value", UNUSUAL_VALUES)
def test_what_is_not_plain_goes_to_the_serializer_in_a_message_and_by_itself(value: Any) -> None:
    assert_reads_as_with_the_serializer(
        ToolMessage("", tool_call_id="c", artifact=value), KNOWING, tag=MSGPACK
    )
    assert_reads_as_with_the_serializer(
        AIMessage("", additional_kwargs={"v": [value]}), KNOWING, tag=MSGPACK
    )
    assert_reads_as_with_the_serializer(value, KNOWING)
    assert_reads_as_with_the_serializer({"v": [value]}, KNOWING)


@each(
    "message",
    [
        HumanMessage("an extra field", mood="good"),
        Note("a subclass"),
        AIMessage.model_construct(id="no content"),
    ],
)
def test_a_message_of_unusual_make_goes_to_the_serializer(message: BaseMessage) -> None:
    assert_reads_as_with_the_serializer(message, KNOWING, tag=MSGPACK)


def test_what_is_cached_in_a_message_is_not_stored() -> None:
    message = HumanMessage("a")
    message.__dict__["cached"] = object()
    assert_reads_as_with_the_serializer(message)


@pytest.mark.parametrize(
    "value",
    [None, b"", b"bytes", bytearray(b"ab"), "", "text", 0, 2**64 - 1, -0.0, float("nan"), [], {}],
    ids=repr,
)
def test_a_value_that_is_no_message_reads_as_with_the_serializer(value: Any) -> None:
    assert_reads_as_with_the_serializer(value)


@pytest.mark.parametrize("value", [2**64, object(), 3j, {"v": [numpy.float64(1)]}], ids=type)
def test_what_the_serializer_refuses_is_refused_in_a_message_as_well(value: Any) -> None:
    for refused in (value, AIMessage("", additional_kwargs={"v": value})):
        with pytest.raises(TypeError):
            Encoding(STRICT).encode(refused)


def test_what_it_pickles_is_read_between_others() -> None:
    encoding = Encoding(JsonPlusSerializer(pickle_fallback=True))
    values = [HumanMessage("a"), 3j, HumanMessage("b"), 1, 2, None, b"x", AIMessage("c")]
    assert encoding.decode_all([encoding.encode(value) for value in values]) == values


_text = st.text(st.characters(exclude_categories=()), max_size=20)
_plain = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | _text | st.binary()
)
_unusual = (
    st.decimals()
    | st.datetimes(timezones=st.none() | st.just(datetime.UTC))
    | st.uuids()
    | st.tuples(_plain)
    | st.frozensets(st.integers(), max_size=3)
    | st.integers()
    | st.binary().map(bytearray)
)
_values = st.recursive(
    _plain | _unusual,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_text, inner, max_size=3)
        | st.dictionaries(st.integers(-9, 9) | st.none(), inner, max_size=3)
    ),
    max_leaves=6,
)
_fields = st.dictionaries(_text, _values, max_size=3)
_blocks = st.lists(_text | _fields.map(lambda fields: {"type": "text", **fields}), max_size=3)


@st.composite
def _messages(draw: st.DrawFn) -> BaseMessage:
    cls = draw(st.sampled_from([HumanMessage, AIMessage, SystemMessage, ToolMessage, ChatMessage]))
    given: dict[str, Any] = {
        "content": draw(_text | _blocks),
        "id": draw(st.none() | _text),
        "name": draw(st.none() | _text),
        "additional_kwargs": draw(_fields),
        "response_metadata": draw(_fields),
    }
    if cls is ToolMessage:
        given |= {"tool_call_id": draw(_text), "artifact": draw(_values)}
    if cls is ChatMessage:
        given["role"] = draw(_text)
    if cls is AIMessage:
        calls = st.fixed_dictionaries({"name": _text, "args": _fields, "id": st.none() | _text})
        given["tool_calls"] = draw(st.lists(calls, max_size=2))
    return cls(**given)


@given(st.lists(_messages() | _values, max_size=5))
def test_any_values_read_together_as_each_does_with_the_serializer(values: list[Any]) -> None:
    encoding = Encoding(STRICT)
    elements, expected = [], []
    for value in values:
        theirs = unless_refused(lambda value=value: STRICT.loads_typed(STRICT.dumps_typed(value)))
        ours = unless_refused(lambda value=value: encoding.decode(encoding.encode(value)))
        assert ours == theirs
        if theirs is not None:
            elements.append(encoding.encode(value))
            expected.append(theirs)
    assert [seen(value) for value in encoding.decode_all(elements)] == expected


@given(_messages())
def test_the_same_message_makes_the_same_bytes_read_and_written_again(message: BaseMessage) -> None:
    encoding = Encoding(STRICT)
    try:
        element = encoding.encode(message)
    except TypeError:
        return
    assert encoding.encode(message) == element
    if element[0] == PAIR:
        assert encoding.encode(encoding.decode(element)) == element
        assert Encoding(JsonPlusSerializer()).encode(message) == element


def test_no_elements_read_as_no_values() -> None:
    assert Encoding(STRICT).decode_all([]) == []


def test_a_message_reads_as_it_was_left_where_its_constructor_would_change_it() -> None:
    raw = {"id": "1", "type": "function", "function": {"name": "track", "arguments": "{}"}}
    message = AIMessage("", additional_kwargs={"tool_calls": [raw]})
    message.tool_calls = []
    encoding = Encoding(STRICT)
    assert encoding.decode(encoding.encode(message)) == message


def test_an_element_holds_on_to_nothing_of_its_value() -> None:
    encoding = Encoding(STRICT)
    for value in (bytearray(b"ab"), HumanMessage(["a"]), ["a"]):
        element = encoding.encode(value)
        before = seen(encoding.decode(element))
        getattr(value, "content", value).clear()
        assert seen(encoding.decode(element)) == before


def test_messages_read_together_share_nothing() -> None:
    encoding = Encoding(STRICT)
    element = encoding.encode(AIMessage(["a"], tool_calls=[CALL]))
    one, other = encoding.decode_all([element, element])
    before = seen(other)
    one.content.append("b")
    one.tool_calls[0]["args"]["deep"].clear()
    one.additional_kwargs["x"] = 1
    one.mood = "good"
    one.id = "7"
    assert seen(other) == before
    assert seen(encoding.decode(element)) == before
    assert one.mood == "good"


def test_a_read_message_can_be_copied_changed_and_dumped() -> None:
    encoding = Encoding(STRICT)
    message = encoding.decode(encoding.encode(HumanMessage("a", id="1")))
    assert message.model_copy(update={"id": "2"}) == HumanMessage("a", id="2")
    assert message.model_copy(deep=True) == message
    assert HumanMessage.model_validate_json(message.model_dump_json()) == message
    assert (message + HumanMessage("b")).messages[1].content == "b"


def test_fields_of_an_older_langchain_are_completed() -> None:
    element = ormsgpack.packb([2, {"content": "old", "type": "ai"}])
    assert seen(Encoding(STRICT).decode(element)) == seen(AIMessage("old", type="ai"))


def test_fields_of_a_newer_langchain_are_kept() -> None:
    element = ormsgpack.packb([1, {**HumanMessage("new").__dict__, "mood": "good"}])
    assert Encoding(STRICT).decode(element).mood == "good"


def test_fields_that_are_refused_today_are_kept() -> None:
    element = ormsgpack.packb([1, {"content": 3, "type": "human"}])
    assert Encoding(STRICT).decode(element).content == 3


def test_the_stored_format_stays_as_it_is() -> None:
    assert {number: cls.__name__ for number, cls in module._CLASSES.items()} == {
        1: "HumanMessage",
        2: "AIMessage",
        3: "SystemMessage",
        4: "ToolMessage",
        5: "FunctionMessage",
        6: "ChatMessage",
        7: "RemoveMessage",
        8: "HumanMessageChunk",
        9: "AIMessageChunk",
        10: "SystemMessageChunk",
        11: "ToolMessageChunk",
        12: "FunctionMessageChunk",
        13: "ChatMessageChunk",
    }
    human = (
        b"\x92\x01\x86\xa7content\xa2hi\xb1additional_kwargs\x80\xb1response_metadata\x80"
        b"\xa4type\xa5human\xa4name\xc0\xa2id\xc0"
    )
    assert Encoding(STRICT).encode(HumanMessage("hi")) == human
    assert Encoding(STRICT).encode({"a": 1}) == b"\x01\x81\xa1a\x01"
    assert Encoding(STRICT).encode(None) == b"\x92\xa4null\xc4\x00"
    assert Encoding(STRICT).encode(b"ab") == b"\x92\xa5bytes\xc4\x02ab"


def test_rebuilding_sets_every_slot_there_is() -> None:
    assert set(pydantic.BaseModel.__slots__) == {
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    }
    assert not any(cls.__private_attributes__ for cls in module._NUMBERS)


@pytest.mark.parametrize("element", [b"\x00x", b"\xc1", b"\x92\x63\x80"], ids=repr)
def test_an_element_of_an_unknown_format_is_undecipherable(element: bytes) -> None:
    with pytest.raises(Undecipherable):
        Encoding(STRICT).decode(element)


def test_the_allow_list_holds_for_values_read_together() -> None:
    elements = [Encoding(KNOWING).encode(Order(number=n)) for n in (1, 2)]
    assert Encoding(KNOWING).decode_all(elements) == [Order(number=1), Order(number=2)]
    assert Encoding(STRICT).decode_all(elements) == [{"number": 1}, {"number": 2}]
    assert Encoding(STRICT).decode(elements[0]) == {"number": 1}
    extended = Encoding(STRICT.with_msgpack_allowlist([Order]))
    assert extended.splits
    assert extended.decode_all(elements) == [Order(number=1), Order(number=2)]


class Lines:
    """A serializer of an application's own, whose types mean nothing but to it."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        if isinstance(obj, HumanMessage):
            return "human", obj.text.encode()
        return "msgpack", json.dumps(obj).encode()

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        if data[0] == "human":
            return HumanMessage(data[1].decode())
        return json.loads(data[1])


def test_a_serializer_of_an_applications_own_is_given_whole_values_one_by_one() -> None:
    encoding = Encoding(Lines())
    values = [HumanMessage("a"), HumanMessage("b"), [1, 2], {"a": 3}, None]
    elements = [encoding.encode(value) for value in values]
    assert not encoding.splits
    assert encoding.decode_all(elements) == values
    assert [encoding.decode(element) for element in elements] == values
    assert elements[0] == ormsgpack.packb(["human", b"a"])


class Gcm:
    """An application's cipher for LangGraph's encrypting serializer."""

    def __init__(self) -> None:
        self._key = AESGCM(AESGCM.generate_key(256))

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        nonce = os.urandom(12)
        return "gcm", nonce + self._key.encrypt(nonce, plaintext, None)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "gcm"
        return self._key.decrypt(ciphertext[:12], ciphertext[12:], None)


def test_an_encrypting_serializer_encrypts_messages_too_and_reads_what_was_plain() -> None:
    encoding = Encoding(EncryptedSerializer(Gcm(), STRICT))
    values = [HumanMessage("secret"), {"a": "secret"}, [AIMessage("secret")]]
    elements = [encoding.encode(value) for value in values]
    assert not encoding.splits
    assert not any(b"secret" in element for element in elements)
    assert encoding.decode_all(elements) == values
    assert encoding.decode_all([Encoding(STRICT).encode(value) for value in values]) == values


def test_only_langgraphs_own_serializer_as_it_is_splits() -> None:
    class Mine(JsonPlusSerializer):
        pass

    hooked = JsonPlusSerializer(__unpack_ext_hook__=lambda code, data: code)
    assert Encoding(JsonPlusSerializer()).splits
    assert not Encoding(Mine()).splits
    assert not Encoding(hooked).splits
    element = Encoding(hooked).encode(HumanMessage("a"))
    assert Encoding(hooked).decode_all([element, element]) == [5, 5]
