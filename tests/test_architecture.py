import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ["graphs", "nodes", "tools", "checkpoints", "engine", "server"]
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_shadows_our_packages(name: str) -> None:
    assert Path(str(import_module(name).__file__)).is_relative_to(ROOT)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_holds_one_idea(path: Path) -> None:
    lines = [line.strip() for line in path.read_text().splitlines()]
    assert sum(1 for line in lines if line and not line.startswith("#")) <= 350


def test_importing_everything_opens_nothing(tmp_path: Path) -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCES
        if path.name != "__main__.py"
    ]
    # Any socket, child process or file written outside Python's own cache is an import side effect.
    script = f"""
import sys
def watch(event, args):
    # A library asks platform.architecture(), which runs `file`.
    asked = event == "subprocess.Popen" and args[0] == "file"
    if event in {{"socket.connect", "subprocess.Popen", "os.posix_spawn"}} and not asked:
        raise SystemExit(f"import did {{event}} {{args}}")
    if event == "open" and isinstance(args[0], str) and args[1] and set(args[1]) & set("wax+"):
        if not args[0].endswith((".pyc", "/dev/null")) and ".pyc." not in args[0]:
            raise SystemExit(f"import wrote {{args[0]}}")
sys.addaudithook(watch)
for name in {names!r}:
    __import__(name)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
