import asyncio

import pytest

from engine.errors import Refused
from tools import Identified
from tools._identity import Identity, allows, missing

ADA = {"email": "ada.moss@example.com"}
ADA_NAME = {"first_name": "ada", "last_name": "MOSS", "postcode": "05401"}


async def find(shop, name, **args):
    return await shop.call(name, shop.run(None, "anonymous"), **args)


async def who(shop, trusted=None) -> Identity:
    return await shop.identities.of(shop.tenant, shop.thread_id, trusted)


async def test_nobody_is_known_before_a_fact_matched(shop) -> None:
    assert await who(shop) == Identity(None, "anonymous", frozenset())


@pytest.mark.parametrize("email", ["ada.moss@example.com", " ADA.Moss@Example.COM"])
async def test_an_e_mail_claims_the_customer(shop, email) -> None:
    outcome = await find(shop, "find_customer_by_email", email=email)
    assert outcome.error is None
    assert await who(shop) == Identity("ada_1", "claimed", frozenset({"email"}))


async def test_name_and_postcode_claim_the_customer(shop) -> None:
    await find(shop, "find_customer_by_name", **ADA_NAME)
    assert await who(shop) == Identity("ada_1", "claimed", frozenset({"name_postcode"}))


async def test_both_facts_verify_the_customer(shop) -> None:
    await find(shop, "find_customer_by_email", **ADA)
    await find(shop, "find_customer_by_name", **ADA_NAME)
    assert (await who(shop)).level == "verified"


async def test_the_same_fact_twice_is_one_fact(shop) -> None:
    for _ in range(2):
        await find(shop, "find_customer_by_email", **ADA)
    assert (await who(shop)).level == "claimed"


async def test_a_lookup_says_nothing_about_whom_it_found(shop) -> None:
    by_email = await find(shop, "find_customer_by_email", **ADA)
    by_name = await find(shop, "find_customer_by_name", **ADA_NAME)
    assert by_email.result.text == by_name.result.text == "I found the customer's account."
    assert by_email.result.data == by_name.result.data == {"found": True}


async def test_not_found_sounds_the_same_whatever_did_not_match(shop) -> None:
    errors = {
        (await find(shop, "find_customer_by_email", email="eve@example.com")).error,
        *[
            (await find(shop, "find_customer_by_name", **ADA_NAME | wrong)).error
            for wrong in ({"first_name": "Ben"}, {"last_name": "Holt"}, {"postcode": "05602"})
        ],
    }
    assert errors == {"I cannot find a customer with these details."}
    assert (await who(shop)).level == "anonymous"


async def test_two_customers_of_one_name_and_postcode_are_nobody(shop, company) -> None:
    async with shop.pool.connection() as conn:
        await conn.execute(
            "update crm.customers set first_name = 'Ada', last_name = 'Moss' where tenant = %s",
            (shop.tenant,),
        )
        await conn.execute(
            "update crm.addresses set postcode = '05401' where tenant = %s", (shop.tenant,)
        )
    outcome = await find(shop, "find_customer_by_name", **ADA_NAME)
    assert outcome.error == "I cannot find a customer with these details."


async def test_a_second_customer_in_one_conversation_is_refused(shop) -> None:
    await find(shop, "find_customer_by_email", **ADA)
    outcome = await find(shop, "find_customer_by_email", email="ben.holt@example.com")
    assert outcome.result is None
    assert "one customer only" in outcome.error
    with pytest.raises(Refused, match="one customer only"):
        await who(shop, trusted="ben_2")
    assert (await who(shop)).customer_id == "ada_1"


async def test_facts_of_two_customers_never_add_up(shop) -> None:
    await find(shop, "find_customer_by_email", email="ben.holt@example.com")
    await find(shop, "find_customer_by_name", **ADA_NAME)
    assert await who(shop) == Identity("ben_2", "claimed", frozenset({"email"}))


async def test_a_trusted_credential_verifies_its_own_run_only(shop) -> None:
    assert await who(shop, trusted="ada_1") == Identity("ada_1", "verified", frozenset())
    assert await who(shop) == Identity(None, "anonymous", frozenset())
    outcome = await find(shop, "find_customer_by_email", email="ben.holt@example.com")
    assert "one customer only" in outcome.error


async def test_conversations_and_tenants_are_bound_apart(shop) -> None:
    await find(shop, "find_customer_by_email", **ADA)
    assert await shop.identities.of(shop.tenant, "another thread") == Identity()
    assert await shop.identities.of("another tenant", shop.thread_id) == Identity()


async def test_of_two_customers_at_once_one_is_bound(shop) -> None:
    found = [Identified("ada_1", "email"), Identified("ben_2", "email")] * 4
    outcomes = await asyncio.gather(
        *(shop.identities.bind(shop.tenant, shop.thread_id, each) for each in found),
        return_exceptions=True,
    )
    bound = {each.customer_id for each in outcomes if isinstance(each, Identity)}
    assert len(bound) == 1
    assert sum(isinstance(each, Refused) for each in outcomes) == 4
    assert {(await who(shop)).customer_id} == bound


async def test_two_facts_at_once_are_both_kept(shop) -> None:
    await asyncio.gather(
        find(shop, "find_customer_by_email", **ADA),
        find(shop, "find_customer_by_name", **ADA_NAME),
    )
    assert (await who(shop)).level == "verified"


def test_a_level_allows_itself_and_what_is_below() -> None:
    assert allows("verified", "claimed")
    assert allows("claimed", "claimed")
    assert not allows("claimed", "verified")
    assert not allows("anonymous", "claimed")


def test_what_is_missing_depends_on_what_matched() -> None:
    assert "e-mail address, or your first name" in missing("claimed", frozenset())
    assert "e-mail address, and your first name" in missing("verified", frozenset())
    assert "also need your first name" in missing("verified", frozenset({"email"}))
    assert "also need your e-mail" in missing("verified", frozenset({"name_postcode"}))
