"""Every public method of the JavaScript SDK's `Client`, from Node: see `sdk/main.js`."""

import asyncio
from pathlib import Path

import pytest

MAIN = Path(__file__).parent / "sdk" / "main.js"


@pytest.mark.parametrize("part", ["assistants", "crons", "runs", "store", "threads"])
async def test_what_each_method_does_is_seen_by_another(api: str, part: str) -> None:
    node = await asyncio.create_subprocess_exec(
        "node", MAIN, api, part, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await node.communicate()
    assert node.returncode == 0, told.decode()
