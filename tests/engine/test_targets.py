import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from engine.errors import Permanent, Unavailable
from engine.targets import Targets


async def tried(targets: Targets, url: str) -> str:
    return await targets.address(targets.parse(url))


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.1/", "loopback"),
        ("http://localhost/", "loopback"),
        ("http://[::1]/", "loopback"),
        ("http://[::ffff:127.0.0.1]/", "loopback"),
        ("http://2130706433/", "loopback"),
        ("http://10.1.2.3/", "private"),
        ("http://192.168.1.1/", "private"),
        ("http://100.64.0.1/", "private"),
        ("http://[::ffff:10.0.0.1]/", "private"),
        ("http://[64:ff9b::10.0.0.1]/", "private"),
        ("http://[2002:7f00:1::]/", "loopback"),
        ("http://[64:ff9b::169.254.169.254]/", "blocked"),
        ("http://169.254.169.254/latest/meta-data", "blocked"),
        ("http://0.0.0.0/", "blocked"),
        ("http://224.0.0.1/", "blocked"),
    ],
)
async def test_our_own_network_is_not_posted_to(url: str, kind: str) -> None:
    with pytest.raises(Permanent, match=f"^Webhook host blocked: {kind} IP range$"):
        await tried(Targets(), url)
    if kind != "blocked":
        assert await tried(Targets(private=True), url)
    else:
        with pytest.raises(Permanent, match="blocked IP range"):
            await tried(Targets(private=True), url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://1.1.1.1", "Webhook host blocked: scheme 'ftp' not allowed"),
        ("mailto:a", "scheme 'mailto' not allowed"),
        ("http://", "Invalid webhook hostname ''"),
        ("nonsense", "Invalid webhook hostname ''"),
        ("//1.1.1.1/x", "Invalid webhook hostname '1.1.1.1'"),
        ("http://1.1.1.1:x/", "Invalid webhook URL"),
        ("http://xn--a/", "Invalid webhook URL"),
        ("/hook", "Loopback webhooks .* are disabled by default"),
    ],
)
async def test_nonsense_is_not_an_address(url: str, said: str) -> None:
    with pytest.raises(Permanent, match=said):
        await tried(Targets(private=True), url)


async def test_a_host_without_an_address_may_have_one_later() -> None:
    for host in ("nowhere.invalid", "a..b", "a" * 64):
        with pytest.raises(Unavailable, match="Webhook host blocked: DNS resolution failed"):
            await tried(Targets(), f"http://{host}/")


async def test_a_name_that_nobody_answers_for_is_given_up() -> None:
    answered = threading.Event()
    with ThreadPoolExecutor(1) as lookups:
        lookups.submit(answered.wait)  # as a name server that is silent
        with pytest.raises(Unavailable, match="DNS resolution failed"):
            await tried(Targets(private=True, seconds=0.1, lookups=lookups), "http://localhost/")
        answered.set()


async def test_a_relative_url_is_our_own_where_that_is_allowed() -> None:
    targets = Targets(own="http://127.0.0.1:2024")
    assert str(targets.parse("/hook?a=1")) == "http://127.0.0.1:2024/hook?a=1"
    below = Targets(own="http://127.0.0.1:2024/v1")
    assert str(below.parse("/hook")) == "http://127.0.0.1:2024/v1/hook"
    with pytest.raises(Permanent, match="Invalid webhook URL"):
        below.parse("/" + "x" * 65_520)  # too long only behind our own
    assert await tried(targets, "/hook") == await tried(below, "/hook") == "127.0.0.1"
    with pytest.raises(Permanent, match="loopback"):
        await tried(targets, "http://127.0.0.1:5432/hook")


def test_an_operator_says_where_webhooks_may_go() -> None:
    strict = Targets(
        require_https=True, domains=["hooks.example.com", "*.corp.example"], ports=[443, 8443]
    )
    for url in ("https://hooks.example.com/a", "https://a.corp.example:8443/"):
        assert str(strict.parse(url)) == url
    for url in (
        "http://hooks.example.com/",
        "https://corp.example/",
        "https://evilcorp.example/",
        "https://hooks.example.com:444/",
    ):
        with pytest.raises(Permanent, match="not allowed"):
            strict.parse(url)
    with pytest.raises(Permanent, match="longer than 20"):
        Targets(max_length=20).parse("https://example.com/" + "x")
