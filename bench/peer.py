"""The official development server, in an environment of its own beside ours."""

import sys
from pathlib import Path

PYTHON = Path(sys.prefix).with_name(".venv-peer") / "bin" / "python"
"""Of that environment, which `make` builds before tests and benchmarks."""

DEV = (str(PYTHON), "-m", "langgraph_cli", "dev", "--no-browser", "--no-reload")
"""The command; `--port` and others may follow."""
