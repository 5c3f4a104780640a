"""200 questions over the demo company, on local models, through the real server.

Written before the local model's patterns; the held half was never used for tuning.
"""

import asyncio
import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

from langgraph_sdk.client import LangGraphClient

from bench.served import served

Question = dict[str, Any]
Answer = dict[str, Any]
QUESTIONS = Path(__file__).with_name("questions.jsonl")
TURNS = 96
"""Turns for each figure of throughput."""


async def ask(client: LangGraphClient, question: Question, thread: str = "") -> Answer:
    """One turn; the final values."""
    thread = thread or (await client.threads.create())["thread_id"]
    answer = await client.runs.wait(
        thread,
        "support",
        input={"messages": [{"role": "user", "content": question["text"]}]},
        context={"customer_id": question["customer_id"], "channel": "bench"},
    )
    assert isinstance(answer, dict)
    return answer


def right(question: Question, answer: Answer) -> bool:
    """Whether the right document is cited, the right call made, or the right short path taken."""
    request = answer.get("request") or {}
    match question["kind"]:
        case "policy":
            cited = {citation["document"] for citation in answer["citations"]}
            return bool(cited & set(question["documents"]))
        case "smalltalk":
            return bool(request.get("intent") == "smalltalk")
        case "out_of_scope":
            return bool(request.get("out_of_scope"))
        case _:
            calls = [
                (call["name"], call["args"])
                for message in answer["messages"]
                for call in message.get("tool_calls") or ()
            ]
            return any(
                name == question["tool"] and same(question["args"], args) for name, args in calls
            )


def same(expected: dict[str, Any], given: dict[str, Any]) -> bool:
    """Equal arguments; the order of items does not matter, their pairing does."""
    return all(_norm(expected, name) == _norm(given, name) for name in expected)


def _norm(args: dict[str, Any], name: str) -> object:
    value = args.get(name)
    if name in {"item_ids", "new_item_ids"} and isinstance(value, list):
        paired = args.get("new_item_ids") or value
        return sorted(zip(args.get("item_ids") or value, paired, strict=False))
    if name == "expression":  # "2*3" and "2 * 3.00" are the same question
        return re.sub(r"\s|(?<=\.\d)0+(?!\d)|\.0+(?!\d)", "", str(value))
    return " ".join(value.lower().split()) if isinstance(value, str) else value


def share(questions: Iterable[tuple[Question, Answer]]) -> str:
    """How many are right."""
    judged = [right(question, answer) for question, answer in questions]
    return f"{sum(judged):3d}/{len(judged):3d} = {sum(judged) / max(1, len(judged)):.2f}"


def percentiles(values: list[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    cuts = statistics.quantiles(values, n=20) if len(values) > 1 else [values[0]] * 19
    return f"p50 {statistics.median(values):7.1f}   p95 {cuts[18]:7.1f}"


async def throughput(client: LangGraphClient, questions: list[Question], parallel: int) -> float:
    """Turns a second with `parallel` conversations that never pause."""
    queue = iter([questions[n % len(questions)] for n in range(TURNS)])

    async def converse() -> None:
        thread = (await client.threads.create())["thread_id"]
        for question in queue:
            await ask(client, question | {"customer_id": None}, thread)

    began = perf_counter()
    await asyncio.gather(*(converse() for _ in range(parallel)))
    return TURNS / (perf_counter() - began)


async def main() -> None:
    """Print the report."""
    questions = [json.loads(line) for line in QUESTIONS.read_text().splitlines()]
    async with served() as client:
        await ask(client, questions[0])
        pairs, whole, nodes = [], [], defaultdict(list)
        for question in questions:
            began = perf_counter()
            answer = await ask(client, question)
            whole.append((perf_counter() - began) * 1000)
            pairs.append((question, answer))
            for node, ms in ((answer.get("usage") or {}).get("ms") or {}).items():
                nodes[node].append(ms)
        print("local models, 200 questions over the demo company")
        for title, kinds in (
            ("cites the right document", {"policy"}),
            ("right tool call", {"order", "product"}),
            ("small talk recognised", {"smalltalk"}),
            ("out of scope declined", {"out_of_scope"}),
        ):
            halves = [
                share((q, a) for q, a in pairs if q["kind"] in kinds and q["split"] == split)
                for split in ("tune", "held")
            ]
            print(f"  {title:26s} tuned half {halves[0]}   held half {halves[1]}")
        print("milliseconds (whole = over HTTP, one conversation at a time)")
        for node, spent in [*sorted(nodes.items()), ("whole", whole)]:
            print(f"  {node:12s} {percentiles(spent)}   n={len(spent)}")
        policy = [question for question in questions if question["kind"] == "policy"]
        for parallel in (1, 8, 32):
            rate = await throughput(client, policy, parallel)
            print(f"  {parallel:2d} conversations: {rate:6.1f} turns/s")


if __name__ == "__main__":
    asyncio.run(main())
