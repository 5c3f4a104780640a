import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta

import httpx
import pytest
from langchain_core.messages import ToolCall

from engine.errors import Refused, Unavailable
from tools import Result, Run, Tool
from tools._runtime import Outcome, Toolbox, to_message

CANCEL = {"order_id": "#W1000001", "reason": "no longer needed"}


@dataclass(frozen=True)
class Weather(Tool):
    """Tell the weather."""

    failures: list[Exception]
    calls: list[str] = field(default_factory=list)
    retries = 2

    async def __call__(self, city: str, run: Run) -> Result:
        self.calls.append(city)
        if self.failures:
            raise self.failures.pop()
        return Result(f"Sunny in {city}.")


@dataclass(frozen=True)
class Slow(Tool):
    """Take too long."""

    timeout = timedelta(milliseconds=50)
    retries = 1
    calls: list[str] = field(default_factory=list)

    async def __call__(self, run: Run) -> Result:
        self.calls.append(run.call_id)
        await asyncio.sleep(5)
        return Result("Never.")


@dataclass(frozen=True)
class SlowWrite(Tool):
    """Change something, and then take too long."""

    write = True
    timeout = timedelta(milliseconds=300)

    async def __call__(self, run: Run) -> Result:
        await run.connection.execute(
            "update crm.orders set status = 'lost' where tenant = %s", (run.tenant,)
        )
        await asyncio.sleep(5)
        return Result("Never.")


def with_tool(shop, name, tool) -> Toolbox:
    return Toolbox({**shop.toolbox.tools, name: tool}, shop.pool, shop.identities)


def call(name, **args) -> ToolCall:
    return ToolCall(name=name, args=args, id="call-1", type="tool_call")


async def test_arguments_are_checked_with_words_a_model_can_use(shop) -> None:
    outcome = await shop.call("cancel_order", order_id="12", reason="bored")
    assert outcome.error == (
        "These arguments cannot be used: order_id: must look like #W\\d{7}; "
        "reason: Input should be 'no longer needed' or 'ordered by mistake'."
    )


@pytest.mark.parametrize("order_id", ["W1000001", "w1000001", "#w1000001", " # W1000001 "])
async def test_an_order_number_may_be_written_carelessly(shop, order_id) -> None:
    outcome = await shop.call("track_order", order_id=order_id)
    assert outcome.result.data["order_id"] == "#W1000001"


@pytest.mark.parametrize("order_id", ["#W10000011", "x#W1000001", "#W1000001; drop", 1000001])
async def test_an_order_number_is_nothing_else(shop, order_id) -> None:
    assert "order_id" in (await shop.call("track_order", order_id=order_id)).error


async def test_an_unknown_tool_is_an_error_for_the_model(shop) -> None:
    assert (await shop.call("refund_everything")).error == "There is no tool refund_everything."


async def test_a_tool_says_what_it_needs_to_know_first(shop) -> None:
    anybody = shop.run(None, "anonymous")
    outcome = await shop.call("get_order", anybody, order_id="#W1000001")
    assert outcome.error.startswith("I first need to know who you are: please give me your e-mail")
    await shop.call("find_customer_by_email", anybody, email="ada.moss@example.com")
    outcome = await shop.call("cancel_order", shop.run(level="claimed"), **CANCEL)
    assert "also need your first name, last name and postcode" in outcome.error
    with pytest.raises(Refused, match="also need your first name"):
        await shop.preview("cancel_order", shop.run(level="claimed"), **CANCEL)


async def test_a_level_without_a_customer_opens_nothing(shop) -> None:
    nobody = shop.run(None, "verified")
    assert (await shop.call("get_order", nobody, order_id="#W1000001")).error
    assert (await shop.call("cancel_order", nobody, **CANCEL)).error


@pytest.mark.parametrize(
    "failure", [Unavailable(), TimeoutError(), ConnectionResetError(), httpx.ConnectError("no")]
)
async def test_a_read_that_fails_in_passing_is_tried_again(shop, failure) -> None:
    weather = Weather(failures=[failure, failure])
    outcome = await with_tool(shop, "weather", weather).invoke(
        call("weather", city="Rome"), shop.run()
    )
    assert outcome.result.text == "Sunny in Rome."
    assert len(weather.calls) == 3


async def test_a_read_that_keeps_failing_is_an_error_for_the_model(shop) -> None:
    weather = Weather(failures=[Unavailable()] * 5)
    outcome = await with_tool(shop, "weather", weather).invoke(
        call("weather", city="Rome"), shop.run()
    )
    assert outcome.error == "I cannot weather right now: please try again later."
    assert len(weather.calls) == 3


async def test_a_refusal_is_not_tried_again(shop) -> None:
    weather = Weather(failures=[Refused("Not for you.")] * 3)
    outcome = await with_tool(shop, "weather", weather).invoke(
        call("weather", city="Rome"), shop.run()
    )
    assert outcome.error == "Not for you."
    assert len(weather.calls) == 1


async def test_a_bug_in_a_tool_is_not_hidden(shop) -> None:
    weather = Weather(failures=[KeyError("city")])
    with pytest.raises(KeyError):
        await with_tool(shop, "weather", weather).invoke(call("weather", city="Rome"), shop.run())


async def test_a_read_that_takes_too_long_is_stopped(shop) -> None:
    slow = Slow()
    outcome = await with_tool(shop, "slow", slow).invoke(call("slow"), shop.run())
    assert outcome.error == "I cannot slow right now: please try again later."
    assert len(slow.calls) == 2


async def test_a_write_that_takes_too_long_is_undone_and_not_tried_again(shop) -> None:
    before = await shop.state()
    toolbox = with_tool(shop, "slow_write", SlowWrite())
    outcome = await toolbox.invoke(call("slow_write"), shop.run())
    assert outcome.error.startswith("It took too long to slow write.")
    assert await shop.state() == before
    assert await toolbox.receipts(shop.thread_id) == []
    with pytest.raises(Refused, match="right now"):
        await toolbox.preview(call("slow_write"), shop.run())


async def test_a_write_leaves_a_receipt_and_a_message_for_the_model(shop) -> None:
    run = shop.run()
    outcome = await shop.call("cancel_order", run, **CANCEL)
    assert outcome.receipt["key"] == f"{run.thread_id}:{run.call_id}"
    assert outcome.receipt["args"] == CANCEL
    assert await shop.toolbox.receipts(shop.thread_id) == [outcome.receipt]
    message = to_message(call("cancel_order", **CANCEL), outcome)
    assert message.text == outcome.result.text
    assert (message.status, message.tool_call_id) == ("success", "call-1")
    assert message.artifact["receipt"] == outcome.receipt


def test_an_error_is_a_message_too() -> None:
    message = to_message(call("get_order"), Outcome(error="No."))
    assert (message.text, message.status) == ("No.", "error")
    assert message.artifact == {"data": {}, "choices": {}, "receipt": None}


async def test_a_resumed_call_finds_its_receipt(shop) -> None:
    run = shop.run()
    first = await shop.call("cancel_order", run, **CANCEL)
    again = await shop.call("cancel_order", replace(run, run_id="resumed"), **CANCEL)
    assert again.receipt == first.receipt
    assert again.result.text == first.result.text
    assert len((await shop.order("#W1000001"))["payment_history"]) == 2


async def test_the_model_repeating_itself_in_a_run_gets_the_first_receipt(shop) -> None:
    run = shop.run()
    first = await shop.call("cancel_order", run, **CANCEL)
    again = await shop.call("cancel_order", replace(run, call_id="other"), **CANCEL)
    assert again.receipt == first.receipt


async def test_a_call_id_used_before_with_other_arguments_is_refused(shop) -> None:
    run = shop.run()
    await shop.call("cancel_order", run, **CANCEL)
    before = await shop.state()
    other = await shop.call("cancel_order", run, **CANCEL | {"order_id": "#W1000002"})
    assert "already used for cancel_order" in other.error
    assert await shop.state() == before


async def test_cancelling_twice_at_once_has_one_effect(shop) -> None:
    runs = [shop.run(thread_id=f"{shop.thread_id}-{n}") for n in range(4)]
    outcomes = await asyncio.gather(*(shop.call("cancel_order", run, **CANCEL) for run in runs))
    assert sum(outcome.receipt is not None for outcome in outcomes) == 1
    assert sum("is cancelled" in (outcome.error or "") for outcome in outcomes) == 3
    assert len((await shop.order("#W1000001"))["payment_history"]) == 2


async def test_the_same_call_twice_at_once_has_one_receipt(shop) -> None:
    run = shop.run()
    outcomes = await asyncio.gather(
        *(shop.call("cancel_order", run, **CANCEL) for _ in range(3)),
        shop.call("cancel_order", replace(run, call_id="other"), **CANCEL),
    )
    assert len({outcome.receipt["key"] for outcome in outcomes}) == 1
    assert len((await shop.order("#W1000001"))["payment_history"]) == 2


async def test_writes_that_meet_on_an_order_see_each_other(shop) -> None:
    """Whichever comes first, the money ends where the last payment left it."""
    paypal = {"order_id": "#W1000001", "payment_method_id": "paypal_1111112"}
    paid, cancelled = await asyncio.gather(
        shop.call("change_order_payment", **paypal), shop.call("cancel_order", **CANCEL)
    )
    assert cancelled.receipt is not None
    history = (await shop.order("#W1000001"))["payment_history"]
    assert len(history) == (4 if paid.receipt else 2)
    sums: dict[str, float] = {}
    for entry in history:
        sign = 1 if entry["transaction_type"] == "payment" else -1
        method = entry["payment_method_id"]
        sums[method] = sums.get(method, 0) + sign * float(entry["amount"])
    assert all(abs(left) < 0.001 for left in sums.values())


async def test_a_preview_tells_that_the_same_was_done_before(shop) -> None:
    home = {"address1": "1 New Road", "city": "Salem", "state": "OR", "postcode": "97301"}
    done = await shop.call("change_customer_address", **home)
    preview = await shop.preview("change_customer_address", **home)
    assert preview.repeats == done.receipt
    assert (
        await shop.preview("change_customer_address", **home | {"city": "Bend"})
    ).repeats is None
    await shop.call("cancel_order", **CANCEL)
    with pytest.raises(
        Refused, match=r"is cancelled\. It was done before in this conversation: Canc"
    ):
        await shop.preview("cancel_order", **CANCEL)


def mentioned(shop, text) -> list[tuple[str, dict[str, str]]]:
    return [(planned["name"], planned["args"]) for planned in shop.toolbox.mentioned(text)]


async def test_a_message_plans_the_reads_whose_arguments_it_names(shop) -> None:
    assert mentioned(shop, "Where are #W1000001 and w1000003? And #W1000001?") == [
        ("get_order", {"order_id": "#W1000001"}),
        ("get_order", {"order_id": "#W1000003"}),
    ]
    assert mentioned(shop, "I'm ada.moss@example.com, what is in #W1000001?") == [
        ("find_customer_by_email", {"email": "ada.moss@example.com"}),
        ("get_order", {"order_id": "#W1000001"}),
    ]
    assert mentioned(shop, "My name is Ada Moss and my zip code is 05401.") == [
        (
            "find_customer_by_name",
            {"first_name": "Ada", "last_name": "Moss", "postcode": "05401"},
        )
    ]
    assert mentioned(shop, "Is item 2000000001 of product 1000000001 in stock?") == [
        ("get_item", {"item_id": "2000000001"}),
        ("get_product", {"product_id": "1000000001"}),
    ]


@pytest.mark.parametrize("text", ["", "hello", "call 5551234567", "#W123", "W12345678", "a@b", "@"])
async def test_a_message_that_names_nothing_plans_nothing(shop, text) -> None:
    assert mentioned(shop, text) == []


@pytest.mark.parametrize(
    "piece", ["a", "a@", "a.", "I am Ada Moss ", "item ", "#W100000", "my name is A B zip "]
)
async def test_planning_comes_to_an_end_on_hostile_text(shop, piece) -> None:
    start = time.monotonic()
    shop.toolbox.mentioned(piece * (20_000 // len(piece)))
    assert time.monotonic() - start < 10  # one that tries every split takes far longer
