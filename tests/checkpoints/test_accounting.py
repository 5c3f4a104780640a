"""What a thread takes is what is stored for it, and shared elements count once."""

from checkpoints.checkpointer import Checkpointer
from tests.checkpoints.threads import Thread

LONG = [f"line {n} {'x' * 300}" for n in range(8)]


async def test_a_thread_takes_what_is_stored_for_it(
    saver: Checkpointer, other: Checkpointer
) -> None:
    thread = Thread(saver)
    assert (await saver.ausage(thread.thread_id)).checkpoints.count == 0
    await thread.put({"items": LONG[:4], "note": "n"})
    first = await other.ausage(thread.thread_id)
    assert (first.checkpoints.count, first.writes.count) == (1, 0)
    assert first.channels["items"].bytes > 0
    await thread.put({"items": LONG, "note": "n"})
    await thread.write(("items", ["more " * 100]), ("note", "n"))
    second = await saver.ausage(thread.thread_id)
    assert (second.checkpoints.count, second.writes.count) == (2, 2)
    assert (second.channels["items"].count, second.channels["note"].count) == (2, 1)
    assert first.channels["items"].bytes < second.channels["items"].bytes
    assert second.channels["items"].bytes < 3 * first.channels["items"].bytes
    assert second.writes.bytes > 0
    assert await other.ausage(thread.thread_id) == second
    await other.adelete_thread(thread.thread_id)
    assert (await saver.ausage(thread.thread_id)).channels == {}
