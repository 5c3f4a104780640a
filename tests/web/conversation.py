"""What a user does on the page, whichever hook it is made with."""

from tests.web.browser import Page

READY = "document.querySelector('main[data-state=ready]') !== null"


async def say(page: Page, text: str, options: str = "undefined") -> None:
    """Send a message when the page is ready for one; nobody waits for the answer."""
    message = f"{{messages: [{{type: 'human', content: '{text}'}}]}}"
    await page.until(READY)
    await page.run(f"void stream.submit({message}, {options})")


def only_grew(shown: list[str], text: str) -> bool:
    """Each text that was rendered is a longer beginning of the whole one than that before it."""
    lengths = [len(one) for one in shown]
    return all(text.startswith(one) for one in shown) and lengths == sorted(set(lengths))
