"""End users come in with the tokens of an OpenID Connect provider."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError, PermissionDeniedError

from engine.errors import Unauthorized, Unavailable
from engine.settings import Settings
from server.app import create_app
from server.auth.tokens import Terms, Tokens
from tests.fakes.oidc import Provider, provider
from tests.fakes.serving import sample_graphs, serving


@pytest.fixture
async def issuer() -> AsyncIterator[Provider]:
    async with provider() as made:
        yield made


@pytest.fixture(scope="module")
async def home() -> AsyncIterator[Provider]:
    """The one that the server knows."""
    async with provider() as made:
        yield made


@pytest.fixture
def terms(issuer: Provider) -> Terms:
    return Terms(issuer.url, "desk", None, 5.0, "shop", "", "customer")


@pytest.fixture(scope="module")
async def url(served_settings: Settings, home: Provider) -> AsyncIterator[str]:
    changes = {
        "jwt_issuer": home.url,
        "jwt_audience": "desk",
        "jwt_tenant": "shop",
        "jwt_customer_claim": "customer",
    }
    settings = served_settings.model_copy(update=changes)
    async with serving(create_app(settings, sample_graphs)) as url:
        yield url


def _client(url: str, token: str) -> LangGraphClient:
    return get_client(url=url, api_key=None, headers={"authorization": f"Bearer {token}"})


async def test_a_token_says_who_calls_and_for_which_customer(
    terms: Terms, issuer: Provider
) -> None:
    caller = await Tokens(terms).caller(issuer.token(customer="c-1", scope="gold read"))
    assert (caller.identity, caller.tenant, caller.customer_id) == ("user:ann", "shop", "c-1")
    assert caller.alone
    assert not caller.trusted
    assert caller.permissions == ("user", "gold", "read")


async def test_a_claim_may_name_the_tenant(terms: Terms, issuer: Provider) -> None:
    by_claim = Tokens(Terms(issuer.url, "desk", f"{issuer.url}/keys", 5.0, "", "org", ""))
    assert (await by_claim.caller(issuer.token(org="acme"))).tenant == "acme"
    with pytest.raises(Unauthorized, match="no claim `org`"):
        await by_claim.caller(issuer.token())


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": int(time.time()) - 7200}, "expired"),
        ({"exp": None}, "exp"),
        ({"sub": None}, "sub"),
        ({"aud": "another"}, "[Aa]udience"),
        ({"aud": None}, "aud"),
        ({"iss": "https://elsewhere.example"}, "[Ii]ssuer"),
        ({"nbf": int(time.time()) + 7200}, "not yet valid"),
    ],
    ids=["late", "for ever", "nobody", "audience", "no audience", "issuer", "early"],
)
async def test_a_token_for_others_or_another_time_opens_nothing(
    terms: Terms, issuer: Provider, claims: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Unauthorized, match=reason):
        await Tokens(terms).caller(issuer.token(**claims))


async def test_clocks_may_differ_a_little(terms: Terms, issuer: Provider) -> None:
    token = issuer.token(exp=int(time.time()) - 2)
    assert (await Tokens(terms).caller(token)).identity == "user:ann"


async def test_forged_signatures_open_nothing(terms: Terms, issuer: Provider) -> None:
    tokens, good = Tokens(terms), issuer.token()
    claims = jwt.decode(good, options={"verify_signature": False})
    stranger = Provider(url=issuer.url)
    stranger.rotate("first")
    for forged in (
        stranger.token(),
        jwt.encode(claims, "", algorithm="none", headers={"kid": "first"}),
        jwt.encode(claims, "s" * 64, algorithm="HS256", headers={"kid": "first"}),
        f"{good}x",
        "a.b.c",
    ):
        with pytest.raises(Unauthorized):
            await tokens.caller(forged)


async def test_the_issuer_is_asked_once_whoever_guesses(terms: Terms, issuer: Provider) -> None:
    tokens = Tokens(terms)
    for _ in range(3):
        await tokens.caller(issuer.token())
    assert issuer.asked == 1
    issuer.rotate("second")
    with pytest.raises(Unauthorized, match="does not publish"):  # a guesser does not make us ask
        await tokens.caller(issuer.token())
    assert issuer.asked == 1


async def test_all_who_come_at_once_wait_for_the_one_answer(terms: Terms, issuer: Provider) -> None:
    tokens = Tokens(terms)
    callers = await asyncio.gather(*(tokens.caller(issuer.token()) for _ in range(5)))
    assert {caller.identity for caller in callers} == {"user:ann"}
    assert issuer.asked == 1


@pytest.mark.parametrize("said", [[], {"keys": 1}, {"keys": [1]}, "keys"])
async def test_an_issuer_that_talks_nonsense_is_away(
    terms: Terms, issuer: Provider, said: Any
) -> None:
    issuer.said = said
    with pytest.raises(Unavailable, match="cannot be had"):
        await Tokens(terms).caller(issuer.token())


async def test_a_key_that_is_new_is_asked_for(terms: Terms, issuer: Provider) -> None:
    tokens = Tokens(terms, again=0.0)
    await tokens.caller(issuer.token())
    issuer.rotate("second")
    assert (await tokens.caller(issuer.token())).identity == "user:ann"
    assert issuer.asked == 2


async def test_known_keys_stay_while_the_issuer_is_away(terms: Terms, issuer: Provider) -> None:
    tokens, token = Tokens(terms, fresh=0.0, again=0.0), issuer.token()
    await tokens.caller(token)
    issuer.away = True
    assert (await tokens.caller(token)).identity == "user:ann"
    assert issuer.asked == 2
    with pytest.raises(Unavailable, match="cannot be had"):
        await Tokens(terms).caller(token)


async def test_a_person_reaches_what_it_owns_and_nothing_else(url: str, home: Provider) -> None:
    ann, bob = home.token(), home.token(sub="bob")
    async with _client(url, ann) as mine, _client(url, bob) as theirs:
        thread: Any = await mine.threads.create(metadata={"of": "ann"})
        tid = thread["thread_id"]
        values: Any = await mine.runs.wait(tid, "work", input={"mode": "done"})
        assert values["steps"] == ["prep", "done"]
        for attempt in (
            theirs.threads.get(tid),
            theirs.threads.get_state(tid),
            theirs.threads.delete(tid),
            theirs.runs.create(tid, "work", input={}),
            theirs.runs.create(tid, "work", input={}, if_not_exists="create"),
        ):
            with pytest.raises(NotFoundError):
                await attempt
        assert [one["thread_id"] for one in await mine.threads.search()] == [tid]
        assert await theirs.threads.search() == []
        with pytest.raises(PermissionDeniedError, match="edit"):
            await mine.threads.update_state(tid, {"mode": "x"})


async def test_a_graph_is_told_the_customer_of_the_token(url: str, home: Provider) -> None:
    async with _client(url, home.token(customer="c-9")) as mine:
        (told,) = [
            part.data["configurable"]["langgraph_auth_user"]
            async for part in mine.runs.stream(
                None, "work", input={"mode": "tell"}, stream_mode=["custom"]
            )
            if part.event == "custom"
        ]
    assert (told["customer_id"], told["trusted"], told["tenant"]) == ("c-9", False, "shop")


async def test_without_a_token_nothing_is_served(url: str, home: Provider) -> None:
    late = home.token(exp=int(time.time()) - 100)
    async with httpx.AsyncClient(base_url=url) as raw:
        for headers in ({}, {"authorization": f"Bearer {late}"}):
            answer = await raw.post("/threads", json={}, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        assert "expired" in answer.json()["detail"]
