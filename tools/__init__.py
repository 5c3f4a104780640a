"""What the front desk can do: one file, one tool, found by its presence.

A tool is a frozen dataclass: its fields are what it needs (filled by name from the resources),
the arguments of `__call__` are what the model fills, `run` says for whom, the docstring is what
the model reads. Names that begin with an underscore are no tools.
"""

from engine.effects import Receipt
from tools._contract import Context, Identified, Level, Result, Run, Tool
from tools._discovery import load

__all__ = ["Context", "Identified", "Level", "Receipt", "Result", "Run", "Tool", "load"]
