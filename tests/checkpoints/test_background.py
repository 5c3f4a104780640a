import asyncio

import pytest

from checkpoints.background import beside


async def test_work_is_done_beside_the_block_and_ends_with_it() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(10), beside(work(), "work"):
        await begun.wait()


async def test_work_that_swallows_a_cancellation_is_cancelled_again() -> None:
    swallowed = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.append(True)
        await asyncio.Event().wait()

    async with asyncio.timeout(10), beside(work(), "work", patience=0.01):
        await asyncio.sleep(0)
    assert swallowed


async def test_what_the_work_failed_with_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise OSError("no more disk")

    async with beside(work(), "the sweep"):
        await asyncio.sleep(0)
    [record] = caplog.records
    assert record.getMessage() == "the sweep had failed"
    assert "no more disk" in str(record.exc_info)
