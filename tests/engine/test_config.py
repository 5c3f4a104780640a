from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from engine import config
from engine.assistants import Assistant
from engine.caller import Caller
from engine.errors import BadRequest


@pytest.fixture
def assistant() -> Assistant:
    now = datetime.now(UTC)
    return Assistant(
        assistant_id=uuid4(),
        graph_id="work",
        config={"configurable": {"a": 1, "b": 1}, "tags": ["x"], "recursion_limit": 7},
        context={"a": 1, "b": 1},
        metadata={"created_by": "system"},
        name="work",
        created_at=now,
        updated_at=now,
        version=1,
        description=None,
    )


def test_the_request_wins_over_the_assistant_key_by_key(assistant: Assistant) -> None:
    asked = {"configurable": {"b": 2}, "tags": ["y"]}
    merged, context = config.merge(assistant, asked, None)
    assert merged == {"configurable": {"a": 1, "b": 2}, "tags": ["y"], "recursion_limit": 7}
    assert context == {"a": 1, "b": 2}


def test_context_reaches_configurable(assistant: Assistant) -> None:
    merged, context = config.merge(assistant, {}, {"b": 3, "c": 4})
    assert merged["configurable"] == context == {"a": 1, "b": 3, "c": 4}


def test_both_at_once_are_refused_but_what_clients_always_send_is_not(
    assistant: Assistant,
) -> None:
    with pytest.raises(BadRequest, match="both configurable and context"):
        config.merge(assistant, {"configurable": {"b": 2}}, {"c": 1})
    always = {"configurable": {"thread_id": "t", "checkpoint_id": "c", "checkpoint_ns": ""}}
    assert config.merge(assistant, always, {"c": 1})[1]["c"] == 1


@pytest.mark.parametrize(
    "key",
    [
        "thread_id",
        "run_id",
        "graph_id",
        "assistant_id",
        "checkpoint_ns",
        "checkpoint_map",
        "langgraph_auth_user",
        "langgraph_auth_permissions",
        "langgraph_request_id",
        "__pregel_send",
        "__anything",
    ],
)
def test_a_client_cannot_speak_for_the_server(assistant: Assistant, key: str) -> None:
    forged: dict[str, Any] = {key: "mine", "harmless": 1}
    merged, context = config.merge(assistant, {"configurable": forged}, None)
    assert key not in merged["configurable"]
    assert key not in context
    assert merged["configurable"]["harmless"] == 1
    assert key not in config.merge(assistant, {}, forged)[0]["configurable"]


def test_only_known_outer_fields_pass(assistant: Assistant) -> None:
    merged, _ = config.merge(assistant, {"callbacks": ["evil"], "run_id": "x"}, None)
    assert set(merged) == {"configurable", "tags", "recursion_limit"}


def test_metadata_says_which_graph_whatever_the_client_says(assistant: Assistant) -> None:
    merged = config.metadata(
        assistant, {"from": "thread", "graph_id": "old"}, {"from": "run", "graph_id": "forged"}
    )
    assert merged == {
        "created_by": "system",
        "from": "run",
        "graph_id": "work",
        "assistant_id": str(assistant.assistant_id),
    }


def test_a_checkpoint_is_named_in_either_place() -> None:
    pointer = {"checkpoint_id": "c", "checkpoint_ns": "", "checkpoint_map": {"": "c"}}
    assert config.pointer({}, {**pointer, "thread_id": "other"}) == {
        "checkpoint_id": "c",
        "checkpoint_map": {"": "c"},
    }
    assert config.pointer({"configurable": pointer}, None) == {"checkpoint_id": "c"}
    assert config.pointer(None, None) == {}


def test_nodes_are_told_who_asks(assistant: Assistant) -> None:
    caller = Caller("acme:public:1", "acme", trusted=False)
    thread_id, run_id = uuid4(), uuid4()
    keys = config.server_keys(caller, assistant, thread_id=thread_id, run_id=run_id, request_id="r")
    assert keys["langgraph_auth_user"]["trusted"] is False
    assert keys["langgraph_auth_user"]["tenant"] == "acme"
    assert (keys["thread_id"], keys["run_id"]) == (str(thread_id), str(run_id))
    assert keys["user_id"] == "acme:public:1"


@pytest.mark.parametrize("who", [{"trusted": True}, {"trusted": False, "user": {"identity": "a"}}])
def test_back_ends_and_users_of_a_project_say_for_which_user_a_graph_works(
    assistant: Assistant, who: dict[str, Any]
) -> None:
    asked = {"configurable": {"user_id": "u1"}}
    merged, context = config.merge(assistant, asked, None)
    assert merged["configurable"]["user_id"] == context["user_id"] == "u1"
    caller = Caller("a", "acme", **who)
    ids = uuid4(), uuid4()
    keys = config.server_keys(caller, assistant, thread_id=ids[0], run_id=ids[1], request_id="r")
    assert "user_id" not in keys
    assert config.as_caller(caller, context) == context


@pytest.mark.parametrize("where", ["configurable", "context"])
def test_no_other_caller_says_for_which_user_a_graph_works(
    assistant: Assistant, where: str
) -> None:
    said = {"user_id": "u1"}
    asked = ({"configurable": said}, None) if where == "configurable" else (None, said)
    _, context = config.merge(assistant, *asked)
    browser = Caller("acme:public:1", "acme", trusted=False)
    assert config.as_caller(browser, context) == {**context, "user_id": "acme:public:1"}
    assert config.as_caller(browser, {"locale": "de"}) == {"locale": "de"}
