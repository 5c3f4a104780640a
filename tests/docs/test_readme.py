import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_picture_the_settings_and_the_example_are_those_of_the_code() -> None:
    done = subprocess.run(
        [sys.executable, "docs/render.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: run python docs/render.py"


def test_every_file_that_readme_points_at_exists() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_adding_a_tool_is_the_file_and_the_test_that_readme_shows(tmp_path: Path) -> None:
    blocks = dict(re.findall(r"```python\n# (t\S+\.py)\n(.*?)```", README, re.S))
    no_cache = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=no_cache)
    for name, code in blocks.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(code)
    here = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(tmp_path)}}
    options = [
        "-q",
        "-o",
        "asyncio_mode=auto",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--import-mode=importlib", *options, "tests"],
        capture_output=True, text=True, **here,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    script = "from tools import load; print(*load({'crm': 0, 'http': 0}))"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, **here
    )
    assert "loyalty_points" in found.stdout
