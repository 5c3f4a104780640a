"""The lock names packages and their digests, no place to fetch them from."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def test_the_lock_names_no_host() -> None:
    text = (HERE / "package-lock.json").read_text()
    assert "://" not in text
    assert '"resolved"' not in text


def test_every_package_is_pinned_and_has_a_digest() -> None:
    wanted: dict[str, str] = json.loads((HERE / "package.json").read_text())["dependencies"]
    packages: dict[str, Any] = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert packages.pop("")["dependencies"] == wanted
    for name, version in wanted.items():
        assert packages[f"node_modules/{name}"]["version"] == version
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
