"""Where webhooks may go: not into our own network, unless the operator wants it."""

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import httpx

from engine.errors import Permanent, Unavailable

_LOOPBACK = (
    "Loopback webhooks (relative URLs) are disabled by default, as they call routes of this "
    "server. Set webhooks.url.disable_loopback to false in langgraph.json to allow them."
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_BLOCKED = "Webhook host blocked: "
_LOOKUPS = 4


@dataclass(frozen=True)
class Targets:
    """`private`: also to loopback and private addresses. `own` is the URL that relative ones are
    below; without it they are refused. No list of domains or ports allows all of them; a
    domain may be `*.example.com`.
    """

    private: bool = False
    own: str | None = None
    require_https: bool = False
    domains: Collection[str] = ()
    ports: Collection[int] = ()
    max_length: int | None = None
    seconds: float = 5.0
    """How long a name may take to be looked up."""
    lookups: Executor = field(default_factory=partial(ThreadPoolExecutor, _LOOKUPS))
    """Threads of their own: whoever names hosts that never answer holds up no other connection."""

    def parse(self, url: str) -> httpx.URL:
        """The URL, absolute. Raises `Permanent` for one that nothing may be posted to."""
        if self.max_length is not None and len(url) > self.max_length:
            raise Permanent(f"{_BLOCKED}the URL is longer than {self.max_length} characters")
        relative = url.startswith("/") and not url.startswith("//")
        if relative and self.own is None:
            raise Permanent(_LOOPBACK)
        try:
            parsed = httpx.URL(f"{self.own}{url}" if relative else url)
            parsed.host  # noqa: B018 - fails for a name that is none
        except (httpx.InvalidURL, UnicodeError) as error:
            raise Permanent(f"Invalid webhook URL: {error}") from error
        if relative:
            return parsed
        self._check(parsed)
        return parsed

    async def address(self, url: httpx.URL) -> str:
        """An address of the URL's host.

        Raises `Permanent` unless all of them may be posted to, `Unavailable` when there is none.
        """
        # The name as it is sent: Python would read some letters otherwise than httpx does.
        ask = partial(socket.getaddrinfo, url.raw_host, _port(url), type=socket.SOCK_STREAM)
        try:
            async with asyncio.timeout(self.seconds):
                found = await asyncio.get_running_loop().run_in_executor(self.lookups, ask)
        except OSError as error:  # a timeout is one
            raise Unavailable(f"{_BLOCKED}DNS resolution failed") from error
        addresses = [str(entry[4][0]) for entry in found]
        if self.own is not None and _origin(url) == _origin(httpx.URL(self.own)):
            return addresses[0]
        for address in addresses:
            if range_ := _blocked(address, private=self.private):
                raise Permanent(f"{_BLOCKED}{range_} IP range")
        return addresses[0]

    def _check(self, url: httpx.URL) -> None:
        schemes = {"https"} if self.require_https else {"http", "https"}
        if url.scheme and url.scheme not in schemes:
            raise Permanent(f"{_BLOCKED}scheme '{url.scheme}' not allowed")
        if not url.host or not url.scheme:
            raise Permanent(f"Invalid webhook hostname '{url.host}'")
        if self.domains and not any(_matches(url.host, domain) for domain in self.domains):
            raise Permanent(f"{_BLOCKED}domain not allowed")
        if self.ports and _port(url) not in self.ports:
            raise Permanent(f"{_BLOCKED}port {_port(url)} not allowed")


def _blocked(address: str, *, private: bool) -> str | None:
    """In what kind of range an address is that may not be posted to."""
    ip = ipaddress.ip_address(address.split("%")[0])
    ip = _within(ip) or ip
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return "blocked"
    if private or ip.is_global:
        return None
    return "loopback" if ip.is_loopback else "private"


def _within(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for: mapped, translated or tunnelled."""
    if ip.version == 4:
        return None
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour


def _matches(host: str, domain: str) -> bool:
    return host.endswith(domain[1:]) if domain.startswith("*.") else host == domain


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, _port(url)
