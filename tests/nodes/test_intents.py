import json

from langchain_core.messages import HumanMessage
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr

from engine.models.chat import open_chat
from engine.settings import Settings
from nodes.intents import ModelIntents, chosen, request
from tests.fakes.openai import Reply, open_fake_openai


def test_a_message_that_names_an_order_is_about_that_order() -> None:
    scores = {"smalltalk": 0.6, "cancel_order": 0.3, "knowledge": 0.1}
    assert chosen(scores, named=True) == ("cancel_order", 0.3)
    assert chosen(scores, named=False) == ("smalltalk", 0.6)


def test_what_names_nothing_and_is_faintly_a_request_is_a_question() -> None:
    faint = {"cancel_order": 0.3, "knowledge": 0.2}
    assert chosen(faint, named=False) == ("knowledge", 0.2)
    assert chosen({"cancel_order": 0.9, "knowledge": 0.1}, named=False)[0] == "cancel_order"


def test_an_unsure_request_is_searched_for_as_well() -> None:
    assert request("cancel_order", 0.4, "en")["knowledge"] is True
    assert request("cancel_order", 0.9, "en")["knowledge"] is False
    assert request("knowledge", 0.9, "en")["knowledge"] is True


def test_what_is_out_of_scope_needs_nothing() -> None:
    strange = request("knowledge", 0.9, "en", strange=True)
    assert (strange["intent"], strange["knowledge"]) == ("out_of_scope", False)


async def test_a_small_model_sorts_messages_by_structured_output() -> None:
    async with open_fake_openai() as fake:
        settings = Settings(
            _env_file=None, openai_base_url=fake.url, openai_api_key=SecretStr("k"), model_retries=0
        )
        said = {"intent": "cancel_order", "confidence": 0.9, "language": "de"}
        fake.script(Reply(json.dumps(said)))
        async with DefaultAsyncHttpxClient() as http:
            model = open_chat("openai:fake-small", settings, http_client=http)
            intents = ModelIntents(model, "openai:fake-small", {"cancel_order": "Cancel an order."})
            config = {"configurable": {"run_id": "r"}}
            found, usage = await intents([HumanMessage("Bitte stornieren")], "en", config)
            fake.script(Reply(json.dumps({"intent": "fly"})))
            unusable, _ = await intents([HumanMessage("hm")], "en", config)
    assert (found["intent"], found["language"], found["knowledge"]) == ("cancel_order", "de", False)
    assert usage is not None
    assert usage["tokens"]["openai:fake-small"]["input"] > 0
    assert "cancel_order" in json.dumps(fake.requests[0].body["response_format"])
    assert (unusable["intent"], unusable["knowledge"]) == ("knowledge", True)
