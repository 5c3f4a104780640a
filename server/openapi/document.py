"""The API's OpenAPI document: what FastAPI knows of the routes, and what they answer with."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from server.openapi import schemas
from server.openapi.operations import OPERATIONS, RPC, STREAM, TEXT, Operation
from server.openapi.schemas import Object

_REF = "#/components/schemas/"
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
_REFUSALS = (400, 401, 403, 404, 409, 413, 422, 429, 503)
_ABOUT = (
    'The LangGraph Server API, as Frontdesk serves it. Errors are `{"detail": "..."}`. '
    "Unknown fields of a body are ignored; null means not given."
)
_CALL = {
    "type": "object",
    "required": ["jsonrpc", "method"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "method": {"type": "string"},
        "params": {"type": "object"},
    },
}
_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}


def describe(app: FastAPI) -> None:
    """Let the app's document be this one, made when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def document(app: FastAPI) -> Object:
    """Every operation with its summary, request example, answers and errors."""
    made = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
    components = made.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)
    refusals = {
        str(status): _answer(_phrase(status), _schema(schemas.Problem, components))
        for status in _REFUSALS
    }
    made["components"]["securitySchemes"] = _SCHEMES
    made["security"] = [{"ApiKey": []}, {"Bearer": []}]
    for path, methods in made["paths"].items():
        for method in _METHODS & set(methods):
            name = f"{method.upper()} {path}"
            operation = OPERATIONS.get(name) or Operation(methods[method]["summary"], Any)
            _complete(methods[method], operation, components, refusals)
            if name in RPC:
                content = {"application/json": {"schema": _CALL}}
                methods[method]["requestBody"] = {"required": True, "content": content}
                _exemplify(methods[method], OPERATIONS[name].example)
            if path.startswith("/store/"):  # labels are refused in words alone
                _also_text(methods[method]["responses"])
    return made


def _complete(told: Object, operation: Operation, components: Object, refusals: Object) -> None:
    told["summary"] = operation.summary
    answers: Object = {} if operation.public else dict(refusals)
    if operation.public:
        answers |= {status: refusals[status] for status in ("422", "429", "503")}
    for status, answer in {operation.status: operation.answer, **operation.also}.items():
        schema = None if answer is None else _schema(answer, components)
        media = operation.media if status == operation.status else "application/json"
        if operation.selected and schema is not None:
            schema = _selected(schema, components)
        answers[str(status)] = _answer(_phrase(status), schema, media)
        if media == TEXT:
            answers[str(status)]["content"]["application/json"] = {"schema": {"type": "object"}}
        if media == STREAM:
            answers[str(status)]["description"] = "Server-sent events"
    told["responses"] = dict(sorted(answers.items()))
    if operation.public:
        told["security"] = []
    if operation.example is not None:
        _exemplify(told, operation.example)


def _exemplify(told: Object, example: Any) -> None:
    for content in told.get("requestBody", {}).get("content", {}).values():
        content["example"] = example


def _answer(description: str, schema: Object | None, media: str = "application/json") -> Object:
    if schema is None:
        return {"description": description}
    return {"description": description, "content": {media: {"schema": schema}}}


def _schema(kind: Any, components: Object) -> Object:
    """The type's schema; what it refers to goes into the components."""
    made = TypeAdapter(kind).json_schema(ref_template=f"{_REF}{{model}}", mode="serialization")
    components.update(made.pop("$defs", {}))
    if made.get("type") == "object" and "title" in made and "properties" in made:
        name = made["title"]
        components[name] = made
        return {"$ref": f"{_REF}{name}"}
    return made


def _selected(schema: Object, components: Object) -> Object:
    """The same with rows that need not have every field."""
    if "items" in schema:
        return {**schema, "items": _selected(schema["items"], components)}
    name = schema["$ref"].removeprefix(_REF)
    row = {key: value for key, value in components[name].items() if key != "required"}
    components[f"{name}Selection"] = {**row, "title": f"{name}Selection"}
    return {"$ref": f"{_REF}{name}Selection"}


def _also_text(responses: Object) -> None:
    content = responses["422"]["content"]
    responses["422"] = {
        **responses["422"],
        "content": {**content, TEXT: {"schema": {"type": "string"}}},
    }


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
