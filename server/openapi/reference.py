"""/docs: every operation, to read and to try. It needs nothing from elsewhere."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> HTMLResponse:
    page = files("server.openapi").joinpath("reference.html").read_text(encoding="utf-8")
    return HTMLResponse(page)
