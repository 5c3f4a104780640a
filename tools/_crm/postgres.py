"""The CRM in our own Postgres, schema `crm`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Literal

from psycopg.types.json import Json

from engine.database import Connection, Pool, statements
from engine.errors import Refused
from tools._contract import Run
from tools._crm import rules
from tools._crm.port import Crm
from tools._crm.records import (
    Address,
    Conversation,
    Customer,
    Fulfilment,
    Line,
    Order,
    OrderSummary,
    Payment,
    PaymentMethod,
    Product,
    Swap,
    Variant,
)


@cache
def _sql() -> Mapping[str, str]:
    return statements("tools._crm", "queries.sql")


@dataclass(frozen=True)
class PostgresCrm(Crm):
    """Reads on the pool, writes on `run.connection`, which must be in a transaction."""

    pool: Pool

    async def is_empty(self, tenant: str) -> bool:
        """Whether this tenant has no customer yet."""
        async with self.pool.connection() as conn:
            row = await (await conn.execute(_sql()["is_empty"], {"tenant": tenant})).fetchone()
        return row is not None and bool(row["is_empty"])

    async def find_by_email(self, run: Run, email: str) -> str | None:
        rows = await self._rows(run, "find_by_email", email=email.strip())
        return rows[0]["id"] if len(rows) == 1 else None

    async def find_by_name(
        self, run: Run, first_name: str, last_name: str, postcode: str
    ) -> str | None:
        rows = await self._rows(
            run,
            "find_by_name",
            first_name=first_name.strip(),
            last_name=last_name.strip(),
            postcode=postcode.strip(),
        )
        return rows[0]["id"] if len(rows) == 1 else None

    async def customer(self, run: Run) -> Customer | None:
        rows = await self._rows(run, "customer")
        if not rows:
            return None
        [row] = rows
        return Customer(
            **row
            | {
                "address": Address(**row["address"]),
                "methods": await self._methods(run),
                "orders": tuple(
                    OrderSummary(order["id"], order["status"], tuple(order["names"]))
                    for order in row["orders"]
                ),
            }
        )

    async def order(self, run: Run, order_id: str) -> Order | None:
        rows = await self._rows(run, "order", order_id=order_id)
        return _order(rows[0], await self._methods(run)) if rows else None

    async def product(self, run: Run, product_id: str) -> Product | None:
        rows = await self._rows(run, "product", product_id=product_id)
        if not rows:
            return None
        variants = await self._rows(run, "variants_of_product", product_id=product_id)
        return Product(**rows[0], variants=tuple(Variant(**row) for row in variants))

    async def item(self, run: Run, item_id: str) -> Variant | None:
        rows = await self._rows(run, "variants", ids=[item_id])
        return Variant(**rows[0]) if rows else None

    async def products(self, run: Run) -> list[Product]:
        return [Product(**row) for row in await self._rows(run, "products")]

    async def change_customer_address(self, run: Run, address: Address) -> Address:
        rows = await self._rows(run, "lock_customer_address")
        if not rows:
            raise Refused("I could not find your account.")
        await self._execute(run, "set_customer_address", **asdict(address))
        return Address(**rows[0])

    async def change_order_address(self, run: Run, order_id: str, address: Address) -> Order:
        order = await self._locked(run, order_id)
        rules.change_address(order)
        await self._execute(run, "set_order_address", order_id=order_id, **asdict(address))
        return order

    async def change_payment(self, run: Run, order_id: str, method_id: str) -> list[Payment]:
        order = await self._locked(run, order_id)
        payments = rules.change_payment(order, method_id)
        await self._book(run, order_id, payments)
        return payments

    async def change_items(
        self, run: Run, order_id: str, item_ids: Sequence[str], new_ids: Sequence[str], method: str
    ) -> tuple[list[Swap], Payment]:
        order = await self._locked(run, order_id)
        rules.check_items_open(order)
        swaps = await self._swaps(run, order, item_ids, new_ids)
        payment = rules.change_items(order, swaps, method)
        await self._book(run, order_id, [payment])
        for swap in swaps:
            variant = swap.variant
            await self._execute(
                run,
                "set_line",
                order_id=order_id,
                position=swap.line.position,
                product_id=variant.product_id,
                item_id=variant.id,
                name=variant.name,
                options=Json(variant.options),
                price=variant.price,
            )
        await self._execute(run, "set_status", order_id=order_id, status=rules.ITEM_MODIFIED)
        return swaps, payment

    async def cancel_order(self, run: Run, order_id: str, reason: str) -> list[Payment]:
        order = await self._locked(run, order_id)
        refunds = rules.cancel(order)
        await self._book(run, order_id, refunds)
        await self._execute(run, "set_cancelled", order_id=order_id, reason=reason)
        return refunds

    async def return_items(
        self, run: Run, order_id: str, item_ids: Sequence[str], method_id: str
    ) -> tuple[list[Line], PaymentMethod]:
        order = await self._locked(run, order_id)
        rules.check_delivered(order, "returned")
        method = rules.refund_method(order, method_id)
        lines = rules.pick(order, item_ids)
        await self._execute(run, "set_return", order_id=order_id, method_id=method_id)
        positions = [line.position for line in lines]
        await self._execute(run, "set_return_lines", order_id=order_id, positions=positions)
        return lines, method

    async def exchange_items(
        self, run: Run, order_id: str, item_ids: Sequence[str], new_ids: Sequence[str], method: str
    ) -> tuple[list[Swap], Decimal]:
        order = await self._locked(run, order_id)
        rules.check_delivered(order, "exchanged")
        swaps = await self._swaps(run, order, item_ids, new_ids)
        difference = rules.exchange(order, swaps, method)
        await self._execute(
            run, "set_exchange", order_id=order_id, method_id=method, difference=difference
        )
        for swap in swaps:
            await self._execute(
                run,
                "set_exchange_line",
                order_id=order_id,
                position=swap.line.position,
                item_id=swap.variant.id,
            )
        return swaps, difference

    async def open_ticket(
        self, run: Run, kind: Literal["question", "hand_off"], summary: str
    ) -> str:
        [row] = await self._rows(
            run, "open_ticket", thread_id=run.thread_id, kind=kind, summary=summary
        )
        return f"T-{row['number']}"

    async def upsert_conversation(self, tenant: str, conversation: Conversation) -> None:
        async with self.pool.connection() as conn:
            args = {"tenant": tenant, **asdict(conversation)}
            await conn.execute(_sql()["upsert_conversation"], args)

    async def _locked(self, run: Run, order_id: str) -> Order:
        """The order and its customer's payment methods, locked in an order that cannot deadlock."""
        if not await self._rows(run, "lock_order", order_id=order_id):
            raise Refused(rules.unknown_order(order_id))
        await self._rows(run, "lock_methods")
        order = await self.order(run, order_id)
        if order is None:
            raise Refused(rules.unknown_order(order_id))
        return order

    async def _swaps(
        self, run: Run, order: Order, item_ids: Sequence[str], new_ids: Sequence[str]
    ) -> list[Swap]:
        rows = await self._rows(run, "variants", ids=list(new_ids))
        variants = {row["id"]: Variant(**row) for row in rows}
        for item_id in new_ids:
            if item_id not in variants:
                raise Refused(f"There is no item {item_id}.")
        return rules.swap(rules.pick(order, item_ids), [variants[item_id] for item_id in new_ids])

    async def _book(self, run: Run, order_id: str, payments: Sequence[Payment]) -> None:
        """Append to the payment history; gift cards are charged and credited at once."""
        for payment in payments:
            await self._execute(run, "add_payment", order_id=order_id, **asdict(payment))
            sign = -1 if payment.kind == "payment" else 1
            await self._execute(
                run, "add_to_gift_card", method_id=payment.method_id, amount=sign * payment.amount
            )

    async def _methods(self, run: Run) -> tuple[PaymentMethod, ...]:
        return tuple(PaymentMethod(**row) for row in await self._rows(run, "methods"))

    async def _rows(self, run: Run, name: str, /, **values: Any) -> list[dict[str, Any]]:
        async with self._connection(run) as conn:
            cursor = await conn.execute(_sql()[name], _named(run, values))
            return await cursor.fetchall()

    async def _execute(self, run: Run, name: str, /, **values: Any) -> None:
        if run.connection is None:
            raise RuntimeError(f"{name} is a write: call it inside the effect ledger")
        await run.connection.execute(_sql()[name], _named(run, values))

    @asynccontextmanager
    async def _connection(self, run: Run) -> AsyncIterator[Connection]:
        if run.connection is not None:
            yield run.connection
        else:
            async with self.pool.connection() as conn:
                yield conn


def _named(run: Run, values: Mapping[str, Any]) -> dict[str, Any]:
    return {"tenant": run.tenant, "customer_id": run.customer_id, **values}


def _order(row: Mapping[str, Any], methods: tuple[PaymentMethod, ...]) -> Order:
    return Order(
        **dict(row)
        | {
            "address": Address(**row["address"]),
            "lines": tuple(
                Line(**line | {"price": Decimal(line["price"])}) for line in row["lines"]
            ),
            "payments": tuple(
                Payment(payment["kind"], Decimal(payment["amount"]), payment["method_id"])
                for payment in row["payments"]
            ),
            "fulfilments": tuple(
                Fulfilment(tuple(sent["tracking_ids"]), tuple(sent["item_ids"]))
                for sent in row["fulfilments"]
            ),
            "methods": methods,
        }
    )
