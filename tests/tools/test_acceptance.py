"""Real tasks that nobody here wrote: replaying their gold actions must give the gold states."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import ToolCall

from engine.database import Pool
from engine.errors import Refused
from tools import Run, load
from tools._crm import PostgresCrm
from tools._crm.export import canonical, export
from tools._crm.importer import import_company, import_file
from tools._identity import Identities
from tools._runtime import Toolbox

ADDRESS = {
    "address1": "address1",
    "address2": "address2",
    "city": "city",
    "state": "state",
    "country": "country",
    "zip": "postcode",
}
SWAP = {
    "order_id": "order_id",
    "item_ids": "item_ids",
    "new_item_ids": "new_item_ids",
    "payment_method_id": "payment_method_id",
}
# Gold name: our tool, and our argument for each gold argument (the customer comes from the run).
GOLD: dict[str, tuple[str, dict[str, str | None]]] = {
    "find_user_id_by_email": ("find_customer_by_email", {"email": "email"}),
    "find_user_id_by_name_zip": (
        "find_customer_by_name",
        {"first_name": "first_name", "last_name": "last_name", "zip": "postcode"},
    ),
    "get_user_details": ("get_customer", {"user_id": None}),
    "get_order_details": ("get_order", {"order_id": "order_id"}),
    "get_product_details": ("get_product", {"product_id": "product_id"}),
    "get_item_details": ("get_item", {"item_id": "item_id"}),
    "list_all_product_types": ("list_products", {}),
    "calculate": ("calculate", {"expression": "expression"}),
    "cancel_pending_order": ("cancel_order", {"order_id": "order_id", "reason": "reason"}),
    "modify_pending_order_address": ("change_order_address", {"order_id": "order_id", **ADDRESS}),
    "modify_pending_order_items": ("change_order_items", dict(SWAP)),
    "modify_pending_order_payment": (
        "change_order_payment",
        {"order_id": "order_id", "payment_method_id": "payment_method_id"},
    ),
    "modify_user_address": ("change_customer_address", {"user_id": None, **ADDRESS}),
    "return_delivered_order_items": (
        "return_items",
        {"order_id": "order_id", "item_ids": "item_ids", "payment_method_id": "payment_method_id"},
    ),
    "exchange_delivered_order_items": ("exchange_items", dict(SWAP)),
    "transfer_to_human_agents": ("hand_off", {"summary": "summary"}),
}
Action = tuple[str, dict[str, Any]]


def data(folder: str, name: str) -> Any:
    root = os.environ.get("FRONTDESK_EVAL_DATA", "")
    if not root or not (Path(root) / folder).is_dir():
        pytest.skip(f"no {folder} in the evaluation data (FRONTDESK_EVAL_DATA={root!r})")
    return json.loads((Path(root) / folder / name).read_text(encoding="utf-8"))


def ours(name: str, gold: dict[str, Any]) -> ToolCall:
    tool, renamed = GOLD[name]
    args = {renamed[key]: value for key, value in gold.items() if renamed[key] is not None}
    return ToolCall(name=tool, args=args, id=uuid4().hex, type="tool_call")


@dataclass
class Replay:
    """The shop of the tasks, its state cut into pieces, so that a task costs one customer."""

    pool: Pool
    toolbox: Toolbox
    company: dict[str, Any]
    tenant: str = field(default_factory=lambda: uuid4().hex)
    pieces: dict[str, dict[str, str]] = field(default_factory=dict)
    refused: int = 0

    async def start(self, path: Path) -> None:
        await import_file(self.pool, self.tenant, path)
        self.pieces = cut(await export(self.pool, self.tenant))

    async def theirs(self, customer: str) -> dict[str, dict[str, str]]:
        return cut(await export(self.pool, self.tenant, [customer]))

    async def restore(self, customer: str) -> None:
        user = self.company["users"][customer]
        orders = {each: self.company["orders"][each] for each in user["orders"]}
        await import_company(
            self.pool,
            self.tenant,
            {"products": {}, "users": {customer: user}, "orders": orders},
        )

    def owner(self, actions: list[Action]) -> str:
        """Whom the task's writes touch; without writes, whom it looks for."""
        orders, users = self.company["orders"], self.company["users"]
        touched = [
            orders[args["order_id"]]["user_id"]
            for _, args in actions
            if args.get("order_id") in orders
        ] + [args["user_id"] for _, args in actions if args.get("user_id") in users]
        return max(touched, key=touched.count) if touched else next(iter(users))

    async def task(self, actions: list[Action]) -> str:
        """The hash after all actions, done by their owner, who says yes to whatever is proposed."""
        customer = self.owner(actions)
        thread_id = uuid4().hex
        who = await self.toolbox.identities.of(self.tenant, thread_id, customer)
        assert who.level == "verified"
        for name, gold in actions:
            call = ours(name, gold)
            run = Run(
                tenant=self.tenant,
                thread_id=thread_id,
                run_id=uuid4().hex,
                call_id=str(call["id"]),
                customer_id=who.customer_id,
                level=who.level,
            )
            await self.act(call, run)
        now = await self.theirs(customer)
        await self.restore(customer)
        return whole({kind: self.pieces[kind] | now[kind] for kind in self.pieces})

    async def act(self, call: ToolCall, run: Run) -> None:
        tool = self.toolbox.tools[call["name"]]
        if not tool.write:
            await self.toolbox.invoke(call, run)
            return
        customer = str(run.customer_id)
        before = await self.theirs(customer)
        try:
            preview = await self.toolbox.preview(call, run)
        except Refused:
            preview = None
        assert await self.theirs(customer) == before
        outcome = await self.toolbox.invoke(call, run)
        assert (outcome.error is None) == (preview is not None)
        if outcome.error is not None:
            self.refused += 1
            assert await self.theirs(customer) == before
        elif tool.confirm:
            assert outcome.result is not None
            assert preview is not None
            assert outcome.result.text == preview.text


def cut(state: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    return {
        kind: {key: f"{canonical(key)}:{canonical(value)}" for key, value in entries.items()}
        for kind, entries in state.items()
    }


def whole(pieces: dict[str, dict[str, str]]) -> str:
    parts = (
        canonical(kind) + ":{" + ",".join(entry for _, entry in sorted(entries.items())) + "}"
        for kind, entries in sorted(pieces.items())
    )
    return hashlib.sha256(("{" + ",".join(parts) + "}").encode()).hexdigest()


@pytest.fixture
async def replay(shop_pool: Pool) -> Replay:
    company = data("tau2_retail", "db.json")
    tools = load({"crm": PostgresCrm(shop_pool), "http": None})
    made = Replay(shop_pool, Toolbox(tools, shop_pool, Identities(shop_pool)), company)
    await made.start(Path(os.environ["FRONTDESK_EVAL_DATA"]) / "tau2_retail" / "db.json")
    return made


async def replayed(replay: Replay, tasks: dict[str, list[Action]], gold: dict[str, Any]) -> None:
    assert whole(replay.pieces) == gold["base"]
    wrong = []
    for name, actions in tasks.items():
        if await replay.task(actions) != gold["tasks"][name]["correct"]:
            wrong.append(name)
    assert wrong == []
    # Only owners were restored after their tasks: nobody else was ever touched.
    assert whole(cut(await export(replay.pool, replay.tenant))) == gold["base"]


async def test_every_tau2_task_ends_in_its_gold_state(replay: Replay) -> None:
    tasks = {
        task["id"]: [
            (action["name"], action["arguments"])
            for action in task["evaluation_criteria"]["actions"] or ()
        ]
        for task in data("tau2_retail", "tasks_train.json")
    }
    assert len(tasks) == 74
    await replayed(replay, tasks, data("tau2_retail", "gold_state_hashes_train.json"))


@pytest.mark.long
async def test_every_tau1_task_ends_in_its_gold_state(replay: Replay) -> None:
    listed = data("tau1_retail_tasks", "tasks_train.json")
    tasks = {
        str(number): [(action["name"], action["kwargs"]) for action in task["actions"]]
        for number, task in enumerate(listed)
    }
    assert len(tasks) == 500
    await replayed(replay, tasks, data("tau1_retail_tasks", "gold_state_hashes_train.json"))
    assert replay.refused == 44
