"""Builds the page with esbuild and serves it, from another origin than the API."""

import asyncio
from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
ESBUILD = MODULES / ".bin" / "esbuild"


async def build(folder: Path) -> None:
    """Put the page into a folder. Raises `RuntimeError` when it does not build."""
    (folder / "index.html").write_bytes((HERE / "pages" / "index.html").read_bytes())
    esbuild = await asyncio.create_subprocess_exec(
        ESBUILD, "main.jsx", "--bundle", "--format=esm", "--jsx=automatic",
        '--define:process.env.NODE_ENV="production"', "--log-level=error",
        f"--outfile={folder / 'main.js'}",
        cwd=HERE / "pages",
    )  # fmt: skip
    if await esbuild.wait():
        raise RuntimeError("the page does not build")


def site(folder: Path) -> FastAPI:
    app = FastAPI()
    app.mount("/", StaticFiles(directory=folder, html=True))
    return app
