"""Drives Chromium over its debugging protocol: as little of it as the tests here need."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 60
"""How long a page may take to show what a test waits for: machines differ."""

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
_ANNOUNCED = b"DevTools listening on "


class PageError(AssertionError):
    """What a page threw, or did not show in time."""


class Browser:
    """A connection to a Chromium: commands, their answers, and what its pages complain about."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.pages: dict[str, Page] = {}

    async def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        """The result of a command. Raises `PageError` when Chromium refuses it."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "method": method, "params": params}
        await self._socket.send(json.dumps(command | ({"sessionId": session} if session else {})))
        return await answer

    async def listen(self) -> None:
        """Take in what Chromium tells until it is gone: it hangs up without a word."""
        with suppress(ConnectionClosedError):
            async for text in self._socket:
                self._hear(json.loads(text))

    def _hear(self, message: Any) -> None:
        if page := self.pages.get(message.get("sessionId", "")):
            page.hear(message)
        if (answer := self._waiting.pop(message.get("id"), None)) and not answer.done():
            if "error" in message:
                answer.set_exception(PageError(message["error"]["message"]))
            else:
                answer.set_result(message["result"])

    @asynccontextmanager
    async def page(self) -> AsyncIterator["Page"]:
        """An empty page with a storage of its own."""
        context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = await self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = self.pages[attached["sessionId"]] = Page(self, attached["sessionId"], context)
        for domain in ("Page", "Runtime", "Network"):
            await self.call(f"{domain}.enable", page.session)
        yield page
        await self.call("Target.disposeBrowserContext", browserContextId=context)


class Page:
    """One tab. `complaints` are its uncaught errors, `requests` what it asked for."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._context = context
        self.session = session
        self._loaded = asyncio.Event()
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def hear(self, message: Any) -> None:
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded.set()
            case "Runtime.exceptionThrown":
                self.complaints.append(_thrown(message["params"]["exceptionDetails"]))
            case "Network.requestWillBeSent":
                request = message["params"]["request"]
                self.requests.append(f"{request['method']} {request['url']}")

    async def open(self, url: str) -> None:
        await self._load("Page.navigate", url=url)

    async def reload(self) -> None:
        await self._load("Page.reload")

    async def _load(self, method: str, **params: Any) -> None:
        self._loaded.clear()
        await self._browser.call(method, self.session, **params)
        async with asyncio.timeout(SECONDS):
            await self._loaded.wait()

    async def allow(self, permission: str, origin: str) -> None:
        """Say yes to what the browser would ask the user."""
        await self._browser.call(
            "Browser.grantPermissions",
            permissions=[permission],
            origin=origin,
            browserContextId=self._context,
        )

    async def run(self, expression: str) -> Any:
        """The JSON value of an expression, awaited. Raises `PageError` with what it threw."""
        result = await self._browser.call(
            "Runtime.evaluate",
            self.session,
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        if thrown := result.get("exceptionDetails"):
            raise PageError(_thrown(thrown))
        return result["result"].get("value")

    async def until(self, condition: str) -> Any:
        """The first value of an expression that is true. Raises `PageError` when none comes."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self.run(_UNTIL % condition)
        except TimeoutError:
            shown = await self.run("document.body.innerText")
            raise PageError(f"never: {condition}; shown: {shown!r}; {self.complaints}") from None


_UNTIL = """new Promise((resolve, reject) => {
  const look = () => {
    try { const value = (%s); value ? resolve(value) : setTimeout(look, 20) }
    catch (error) { reject(error) }
  }
  look()
})"""


def _thrown(details: Any) -> str:
    exception = details.get("exception", {})
    return str(exception.get("description") or exception.get("value") or details["text"])


@asynccontextmanager
async def open_browser(*flags: str) -> AsyncIterator[Browser]:
    """A Chromium of our own, with an empty profile; it is gone afterwards."""
    program = next(found for name in PROGRAMS if (found := shutil.which(name)))
    profile = Path(tempfile.mkdtemp(prefix="frontdesk-chromium-"))
    process = await asyncio.create_subprocess_exec(
        program, *_FLAGS, f"--user-data-dir={profile}", *flags, "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        url = await _announced(process.stderr)
        draining = asyncio.create_task(_drain(process.stderr))
        async with connect(url, max_size=None, proxy=None) as socket:
            browser = Browser(socket)
            listening = asyncio.create_task(browser.listen())
            yield browser
            await browser.call("Browser.close")
            await listening
        await draining
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        shutil.rmtree(profile, ignore_errors=True)


async def _announced(stderr: asyncio.StreamReader) -> str:
    told = []
    async with asyncio.timeout(SECONDS):
        async for line in stderr:
            if line.startswith(_ANNOUNCED):
                return line.removeprefix(_ANNOUNCED).decode().strip()
            told.append(line.decode(errors="replace"))
    raise AssertionError(f"Chromium did not start: {''.join(told)}")


async def _drain(stderr: asyncio.StreamReader) -> None:
    async for _ in stderr:
        pass
