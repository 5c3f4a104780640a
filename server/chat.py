"""A conversation in the terminal, over the same HTTP API as everybody else."""

from dataclasses import dataclass
from typing import Any

from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import StreamMode
from rich.console import Console
from rich.markup import escape
from rich.prompt import Prompt

MODES: tuple[StreamMode, ...] = ("messages-tuple", "values")


@dataclass
class Conversation:
    """One thread; `context` goes with every run."""

    client: LangGraphClient
    console: Console
    context: dict[str, Any]
    thread_id: str = ""

    async def say(self, text: str) -> dict[str, Any]:
        """Send a message, print the answer as it comes, settle confirmations; the final values."""
        if not self.thread_id:
            self.thread_id = (await self.client.threads.create())["thread_id"]
        values = await self._run(input={"messages": [{"role": "user", "content": text}]})
        while waiting := values.get("__interrupt__"):
            question = waiting[0]["value"]["question"]
            answer = Prompt.ask(f"[bold]{escape(question)}[/bold]", console=self.console)
            values = await self._run(command={"resume": answer})
        return values

    async def _run(self, **what: Any) -> dict[str, Any]:
        """Stream one run. A new message id means that the answer before it was withdrawn."""
        values: dict[str, Any] = {}
        shown = ""
        async for part in self.client.runs.stream(
            self.thread_id, "support", stream_mode=MODES, context=self.context, **what
        ):
            if part.event == "values":
                values = part.data
            elif part.event == "messages" and part.data[0].get("type") == "AIMessageChunk":
                chunk = part.data[0]
                if shown and chunk["id"] != shown:
                    self.console.print("\n[dim](once more)[/dim]")
                shown = chunk["id"]
                self.console.print(escape(chunk["content"]), end="", soft_wrap=True)
            elif part.event == "error":
                self.console.print(f"[red]{escape(str(part.data['message']))}[/red]")
        self._end(values, shown)
        return values

    def _end(self, values: dict[str, Any], shown: str) -> None:
        last = (values.get("messages") or [{}])[-1]
        if last.get("type") == "ai" and last.get("id") != shown and "__interrupt__" not in values:
            self.console.print(escape(last["content"]), soft_wrap=True)
        elif shown:
            self.console.print()
        for citation in values.get("citations") or []:
            where = citation["url"] or citation["document"]
            self.console.print(
                f"[dim]  \\[{citation['id']}] {escape(citation['title'])} ({escape(where)})[/dim]"
            )
