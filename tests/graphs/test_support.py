import asyncio
from dataclasses import replace

import pytest
from langgraph.types import Command

PENDING, THEIRS = "#W4820011", "#W3390021"
CANCEL = ("cancel_order", {"order_id": PENDING, "reason": "no longer needed"})
GOOD = "You may return unused items within 30 days of delivery. [returning-items#1]"
QUESTION = "How many days do I have to return unused items?"
MODES = ["values", "updates", "messages", "custom", "debug", "tasks", "checkpoints"]
LEAK = "That was order #W3390021 of Tobias Okafor, which cost $987.65. [returning-items#1]"
SECRETS = (THEIRS, "Okafor", "987.65")


async def everything(desk, text: str) -> str:
    """Whatever any stream mode shows of one run, and the history after it."""
    context = desk.context
    sent = {"messages": [("user", text)]}
    seen = [
        repr(part)
        async for part in desk.graph.astream(
            sent, desk.config(), context=context, stream_mode=MODES, subgraphs=True
        )
    ]
    history = [repr(state) async for state in desk.graph.aget_state_history(desk.config())]
    return "\n".join(seen + history)


async def test_an_answer_cites_what_was_retrieved_and_keeps_its_books(desk, said) -> None:
    desk.model.script(said(GOOD))
    values = await desk.say(QUESTION)
    reply = values["messages"][-1]
    assert reply.text == GOOD
    assert [citation["document"] for citation in values["citations"]] == ["returning-items"]
    assert reply.additional_kwargs["citations"] == values["citations"]
    assert reply.additional_kwargs["verdict"] == values["verdict"]
    assert values["verdict"]["accepted"] is True
    assert values["verdict"]["drafts"] == 1
    assert values["usage"]["tokens"]["openai:fake-large"]["input"] > 0
    assert {"guard", "classify", "retrieve", "generate", "validate"} <= set(values["usage"]["ms"])


async def test_a_leak_and_an_invented_price_reach_no_stream_and_no_history(desk, said) -> None:
    desk.model.script(said(LEAK), said(f"Sure. {LEAK}"), said(f"{GOOD} {LEAK}"))
    seen = await everything(desk, QUESTION)
    assert "generate" in seen
    for secret in SECRETS:
        assert secret not in seen
    state = await desk.graph.aget_state(desk.config())
    assert len(state.values["rejections"]) == 3
    assert (
        "cannot" in state.values["messages"][-1].text
        or "could not" in state.values["messages"][-1].text
    )


async def test_the_raw_model_is_not_heard_by_event_listeners_either(desk, said) -> None:
    desk.model.script(said(LEAK), said(GOOD))
    context = desk.context
    sent = {"messages": [("user", QUESTION)]}
    events = [
        repr(event)
        async for event in desk.graph.astream_events(
            sent, desk.config(), context=context, version="v2"
        )
    ]
    assert not any(secret in event for event in events for secret in SECRETS)


async def test_a_rejected_draft_is_written_again_under_a_new_id(desk, said) -> None:
    desk.model.script(said(f"{GOOD} It costs $12.34. [returning-items#1]"), said(GOOD))
    context, chunks = desk.context, []
    sent = {"messages": [("user", QUESTION)]}
    async for message, _ in desk.graph.astream(
        sent, desk.config(), context=context, stream_mode="messages"
    ):
        if message.type == "AIMessageChunk":
            chunks.append(message)
    ids = list(dict.fromkeys(chunk.id for chunk in chunks))
    assert len(ids) == 2
    values = (await desk.graph.aget_state(desk.config())).values
    assert values["messages"][-1].id == ids[1]
    assert [message.id for message in values["messages"] if message.id == ids[0]] == []
    assert "".join(chunk.text for chunk in chunks if chunk.id == ids[1]) == GOOD
    assert "<rejected>" in desk.model.requests[1].body["messages"][0]["content"]


async def test_sentences_leave_before_the_model_has_ended(desk, said) -> None:
    desk.model.latency = replace(desk.model.latency, piece=0.05)
    desk.model.script(said(GOOD + " Return postage is $4.95. [returning-items#2]" * 3))
    sent, order = {"messages": [("user", QUESTION)]}, []
    async for mode, part in desk.graph.astream(
        sent, desk.config(), context=desk.context, stream_mode=["messages", "updates"]
    ):
        if mode == "messages" and part[0].type == "AIMessageChunk":
            order.append("chunk")
        elif mode == "updates":
            order += list(part)
    assert order.index("chunk") < order.index("generate")
    assert order.count("chunk") >= 2


async def test_reads_and_retrieval_run_side_by_side(desk, said) -> None:
    desk.model.script(said("Your order #W4820013 is processed."))
    steps: dict[int, set[str]] = {}
    sent = {
        "messages": [("user", "What is the status of order #W4820013, and how do returns work?")]
    }
    async for event in desk.graph.astream(
        sent, desk.config(), context=desk.context, stream_mode="debug"
    ):
        if event["type"] == "task":
            steps.setdefault(event["step"], set()).add(event["payload"]["name"])
    assert any({"crm"} <= names for names in steps.values())
    assert desk.model.requests[0].body["messages"][-1]["role"] == "tool"


@pytest.mark.parametrize("by_message", [False, True], ids=["resume", "plain message"])
async def test_a_write_happens_once_and_only_after_a_yes(desk, said, *, by_message: bool) -> None:
    desk.model.script(said("", CANCEL), said("I have cancelled order #W4820011."))
    waiting = await desk.say(f"Cancel {PENDING}, I no longer need it")
    question = waiting["__interrupt__"][0].value
    assert question["actions"][0]["tool"] == "cancel_order"
    assert PENDING in question["question"]
    assert waiting["messages"][-1].text == question["question"]
    assert await desk.order_status(PENDING) == "pending"
    done = await (desk.say("Yes, please.") if by_message else desk.resume("yes"))
    assert await desk.order_status(PENDING) == "cancelled"
    assert [receipt["tool"] for receipt in done["effects"]] == ["cancel_order"]
    assert done["messages"][-1].text == "I have cancelled order #W4820011."
    assert done["pending"] == []


@pytest.mark.parametrize("answer", ["no", "No, thanks"])
async def test_a_no_changes_nothing(desk, said, answer: str) -> None:
    desk.model.script(said("", CANCEL), said("Nothing was changed."))
    await desk.say(f"Cancel {PENDING}, I no longer need it")
    done = await desk.say(answer)
    assert await desk.order_status(PENDING) == "pending"
    assert (done["effects"], done["pending"]) == ([], [])


async def test_anything_else_withdraws_the_proposal_and_is_answered(desk, said) -> None:
    desk.model.script(said("", CANCEL), said(GOOD))
    await desk.say(f"Cancel {PENDING}, I no longer need it")
    answered = await desk.say(QUESTION)
    assert answered["messages"][-1].text == GOOD
    assert desk.model.requests[-1].body["messages"][-1] == {"role": "user", "content": QUESTION}
    assert answered["pending"] == []
    desk.model.script(said("Nothing was cancelled."))
    late = await desk.say("yes")
    assert late["effects"] == []
    assert await desk.order_status(PENDING) == "pending"


async def test_a_fork_before_the_confirmation_repeats_no_effect(desk, said) -> None:
    desk.model.script(said("", CANCEL), said("I have cancelled order #W4820011."))
    await desk.say(f"Cancel {PENDING}, I no longer need it")
    await desk.resume("yes")
    before = [
        state
        async for state in desk.graph.aget_state_history(desk.config())
        if state.next == ("confirm",)
    ][-1]
    desk.model.script(said("I have cancelled order #W4820011."))
    config = desk.config() | {}
    config["configurable"] |= {"checkpoint_id": before.config["configurable"]["checkpoint_id"]}
    forked = await desk.graph.ainvoke(Command(resume="yes"), config, context=desk.context)
    assert [receipt["tool"] for receipt in forked["effects"]][-1] == "cancel_order"
    count = "select count(*) from frontdesk.effects where thread_id = %s"
    assert await desk.value(count, desk.thread) == 1
    refunds = (
        "select count(*) from crm.payments where order_id = %s and kind = 'refund' and tenant = %s"
    )
    assert await desk.value(refunds, PENDING, desk.tenant) == 1


async def test_a_draft_lost_with_its_process_is_written_again(desk, said) -> None:
    desk.model.script(said(GOOD), said(GOOD))
    context = desk.context
    await desk.graph.ainvoke(
        {"messages": [("user", QUESTION)]},
        desk.config(),
        context=context,
        interrupt_before=["validate"],
    )
    state = await desk.graph.aget_state(desk.config())
    assert "draft" not in state.values
    values = await desk.graph.ainvoke(None, desk.config(), context=context)
    assert values["messages"][-1].text == GOOD
    assert len(desk.model.requests) == 2


async def test_an_anonymous_customer_is_claimed_by_one_fact_and_verified_by_both(
    desk, said
) -> None:
    desk.customer = None
    email = {"email": "maya.linden@example.com"}
    desk.model.script(said("Thank you, I found you."))
    values = await desk.say("My e-mail is maya.linden@example.com, where is order #W4820013?")
    assert values["identity"]["level"] == "claimed"
    assert values["identity"]["customer_id"] == "maya_linden_4821"
    desk.model.script(said("", CANCEL), said("I also need your name and postcode."))
    values = await desk.say(f"cancel {PENDING}, no longer needed")
    assert "__interrupt__" not in values
    assert "postcode" in str(values["messages"])
    assert await desk.order_status(PENDING) == "pending"
    other = {"email": "tobias.okafor@example.com"}
    desk.model.script(said("", ("find_customer_by_email", other)), said("I can only help one."))
    values = await desk.say("Now look for tobias.okafor@example.com")
    assert values["identity"]["customer_id"] == "maya_linden_4821"
    assert email["email"] != other["email"]


async def test_a_credential_that_names_another_customer_is_refused(desk, said) -> None:
    desk.model.script(said(GOOD))
    await desk.say(QUESTION)
    desk.customer = "tobias_okafor_3390"
    values = await desk.say("What is in order #W3390021?")
    assert "another customer" in values["messages"][-1].text
    assert len(desk.model.requests) == 1


async def test_a_persons_credential_fixes_the_customer(desk, said) -> None:
    desk.customer = "tobias_okafor_3390"  # what the request says counts for nothing
    desk.model.script(said("", ("get_order", {"order_id": "#W4820013"})), said("It is processed."))
    user = {
        "identity": "user:maya",
        "tenant": desk.tenant,
        "trusted": False,
        "customer_id": "maya_linden_4821",
        "permissions": ["user"],
    }
    values = await desk.say("What is in order #W4820013?", langgraph_auth_user=user)
    assert values["identity"] == {"customer_id": "maya_linden_4821", "level": "verified"}


async def test_a_public_key_may_not_name_the_customer(desk, said) -> None:
    desk.model.script(said("I first need to know who you are."))
    user = {"identity": "w", "tenant": desk.tenant, "trusted": False, "permissions": []}
    values = await desk.say("What is in order #W4820013?", langgraph_auth_user=user)
    assert values["identity"] == {"customer_id": None, "level": "anonymous"}
    assert "processed" not in str(values["messages"])


async def test_a_call_with_an_identifier_nobody_mentioned_is_not_made(desk, said) -> None:
    invented = ("get_order", {"order_id": "#W9999999"})
    desk.model.script(said("", invented), said("Which order do you mean?"))
    values = await desk.say("Where is my order?")
    assert "#W9999999" not in str(values)
    assert values["verdict"]["drafts"] == 2


async def test_a_model_that_only_calls_tools_is_made_to_answer(desk, said) -> None:
    again = said("", ("calculate", {"expression": "1 + 1"}))
    desk.model.script(*[again] * 6, said("It is 2.00."))
    values = await desk.say("How much is 1 + 1?")
    assert values["messages"][-1].text == "It is 2.00."
    assert "tools" in desk.model.requests[-2].body
    assert "tools" not in desk.model.requests[-1].body


async def test_three_bad_drafts_about_an_order_end_with_a_human_and_a_ticket(desk, said) -> None:
    desk.model.script(*[said("It costs $987.65.")] * 3)
    values = await desk.say("What did order #W4820013 cost?")
    assert values["actions"][0]["kind"] == "handoff"
    assert values["actions"][0]["receipt"]["tool"] == "hand_off"
    assert await desk.value("select count(*) from crm.tickets where tenant = %s", desk.tenant) == 1


async def test_a_stream_that_breaks_off_is_begun_again(desk, said) -> None:
    desk.model.script(replace(said(GOOD), cut="dropped", after=4), said(GOOD))
    values = await desk.say(QUESTION)
    assert values["messages"][-1].text == GOOD
    assert values["verdict"]["drafts"] == 2


async def test_small_talk_and_foreign_matters_cost_no_large_model(desk) -> None:
    thanks = await desk.say("Thank you so much!")
    assert "welcome" in thanks["messages"][-1].text
    foreign = await desk.say("What is the capital of Mongolia?")
    assert foreign["request"]["out_of_scope"] is True
    assert desk.model.requests == []


async def test_a_secret_is_masked_in_the_message_that_stays(desk, said) -> None:
    desk.model.script(said("Please do not send card numbers. [none]"))
    values = await desk.say("Can I pay with card 4111 1111 1111 1111 for returns?")
    assert "[card number removed]" in values["messages"][0].text
    assert "4111" not in str(desk.model.requests[0].body)


async def test_a_message_that_is_too_long_is_refused_and_not_kept(desk) -> None:
    values = await desk.say("x" * 9000)
    assert "too long" in values["messages"][-1].text
    assert len(values["messages"][0].text) < 300


async def test_a_long_conversation_keeps_the_prompt_within_its_budget(desk, said) -> None:
    filler = "I was wondering about the many things one can return to a shop, and how. " * 8
    for n in range(12):
        desk.model.script(said(GOOD))
        await desk.say(f"{filler} Question {n}: {QUESTION}")
    sizes = [
        sum(len(str(message["content"])) for message in request.body["messages"])
        for request in desk.model.requests
    ]
    assert max(sizes) <= desk.resources.settings.prompt_tokens * 3
    state = await desk.graph.aget_state(desk.config())
    assert state.values["summary"]
    assert "<summary>" in desk.model.requests[-1].body["messages"][0]["content"]


async def test_conversations_at_the_same_time_do_not_meet(desk, another, said) -> None:
    desk.model.answer = lambda body: said("Your order is known.")
    one, two = desk, another("tobias_okafor_3390")
    mine, theirs = await asyncio.gather(
        one.say("What is in order #W4820013?"), two.say("What is in order #W3390021?")
    )
    assert mine["identity"]["customer_id"] != theirs["identity"]["customer_id"]
    assert THEIRS not in str(mine)
