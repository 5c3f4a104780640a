"""What commands print for operators: one line a thing, never wrapped, nothing read as markup."""

from datetime import datetime

from rich.console import Console


def say(line: str) -> None:
    Console().print(line, markup=False, highlight=False, soft_wrap=True)


def when(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
