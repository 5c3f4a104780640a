"""Write into README what the code knows better: the support graph and the table of settings.

`python docs/render.py` rewrites the marked parts; with `--check` it fails when one is stale.
"""

import re
import sys
from pathlib import Path

from engine.settings import Settings
from graphs.local import support

README = Path(__file__).parent.parent / "README.md"
EXAMPLE = README.with_name(".env.example")


def picture() -> str:
    """The support graph as Mermaid."""
    drawn = support().compile().get_graph().draw_mermaid(with_styles=False)
    return f"```mermaid\n{drawn.strip()}\n```"


def variables() -> list[tuple[str, str, str]]:
    """Variable, default and meaning of every setting."""
    rows = []
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"FRONTDESK_{name.upper()}")
        default = "" if field.default is None else str(field.default)
        rows.append((variable, default.strip("*"), field.description or ""))
    return rows


def table() -> str:
    """Every setting as a Markdown table."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    lines += [f"| `{v}` | {f'`{d}`' if d else ''} | {m} |" for v, d, m in variables()]
    return "\n".join(lines)


def example() -> str:
    """Every setting as a commented `.env`."""
    return "".join(f"# {m}\n# {v}={d}\n\n" for v, d, m in variables())


def rendered(text: str) -> str:
    """README with its marked parts written anew."""
    for name, part in (("graph", picture()), ("settings", table())):
        pattern = rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)"
        text = re.sub(pattern, lambda m, part=part: m[1] + part + m[2], text, flags=re.S)
    return text


def main() -> int:
    """Rewrite, or check."""
    stale = []
    for path, text in ((README, rendered(README.read_text())), (EXAMPLE, example())):
        if not path.exists() or path.read_text() != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(text)
    if stale:
        sys.stdout.write(f"{'stale' if '--check' in sys.argv else 'rewritten'}: {stale}\n")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
