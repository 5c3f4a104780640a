"""A page of another origin asks the server, as a browser lets it."""

from urllib.parse import urlsplit

import pytest

from tests.web.browser import Page, PageError, open_browser

ASK = """(async () => {
  const headers = {"content-type": "application/json", "x-api-key": "k", "x-auth-scheme": "any"};
  const ask = async (method, path, body) => {
    const response = await fetch("%s" + path, {method, headers, body: JSON.stringify(body)});
    return [response.status, Object.fromEntries(response.headers)];
  };
  const made = await fetch("%s/threads", {method: "POST", headers, body: "{}"});
  const thread = "/threads/" + (await made.json()).thread_id;
  return {
    thread,
    found: await ask("POST", "/threads/search", {limit: 1}),
    patched: await ask("PATCH", thread, {metadata: {a: 1}}),
    run: await ask("POST", thread + "/runs/stream", {assistant_id: "work", input: {}}),
    missing: await ask("GET", "/no/such/path"),
    deleted: await ask("DELETE", thread),
  };
})()"""


async def test_every_method_may_be_used_and_what_clients_need_be_read(
    page: Page, pages: str, api: str
) -> None:
    await page.open(pages)
    told = await page.run(ASK % (api, api))
    assert {name: answer[0] for name, answer in told.items() if name != "thread"} == {
        "found": 200, "patched": 200, "run": 200, "missing": 404, "deleted": 204,
    }  # fmt: skip
    assert "x-pagination-total" in told["found"][1]
    run = told["run"][1]["content-location"]
    assert run.startswith(f"{told['thread']}/runs/")
    assert told["run"][1]["location"] == f"{run}/stream"


async def test_a_public_page_may_ask_this_machine_once_its_user_agrees(
    chromium: None, pages: str, api: str
) -> None:
    """Chromium takes the page's address for a public one. It asks the user, then the server."""
    ask = f"fetch('{api}/info', {{headers: {{'x-auth-scheme': 'langsmith'}}}}).then(r => r.json())"
    public = f"--ip-address-space-overrides={urlsplit(pages).netloc}=public"
    async with open_browser(public) as browser, browser.page() as page:
        await page.open(pages)
        with pytest.raises(PageError, match="Failed to fetch"):
            await page.run(ask)
        await page.allow("loopbackNetwork", pages)
        assert (await page.run(ask))["flags"]["assistants"] is True
