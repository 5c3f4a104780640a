"""JSON-RPC 2.0, one message a request: what MCP and A2A have in common."""

from dataclasses import dataclass
from typing import Any

from engine.errors import BadRequest, Conflict, FrontdeskError, Invalid, NotFound, Refused
from engine.serialise import loads
from server.bodies import Object

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

ASKED_WRONGLY = (BadRequest, Invalid, NotFound, Conflict, Refused)
"""Errors that the caller's parameters explain. The others are told by the status of the answer."""


class RpcError(FrontdeskError):
    """An answer that is an error; `code` says which, `message_id` to what."""

    def __init__(self, code: int, message: str, message_id: str | int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message_id = message_id


@dataclass(frozen=True)
class Message:
    """One message: a request has an id and a method, a notification no id, an answer no method."""

    id: str | int | None
    method: str | None
    params: Object


def parse(body: bytes) -> Message:
    """The message in a request's body. Raises `RpcError`, which names what is wrong with it."""
    try:
        data = loads(body)
    except ValueError as error:
        raise RpcError(PARSE_ERROR, "Invalid JSON payload") from error
    if not isinstance(data, dict):
        raise RpcError(INVALID_REQUEST, "Invalid message format: expected object")
    found, method = data.get("id"), data.get("method")
    message_id = found if isinstance(found, str | int) and not isinstance(found, bool) else None
    if data.get("jsonrpc") != "2.0":
        told = "Invalid JSON-RPC message: missing or invalid jsonrpc version"
        raise RpcError(INVALID_REQUEST, told, message_id)
    params = data.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "Invalid params: must be an object", message_id)
    return Message(message_id, method if isinstance(method, str) else None, params)


def result(message_id: str | int | None, value: Any) -> Object:
    return {"jsonrpc": "2.0", "id": message_id, "result": value}


def failure(message_id: str | int | None, error: FrontdeskError) -> Object:
    """The answer that tells of an error; one that has no code is about the parameters."""
    code = error.code if isinstance(error, RpcError) else INVALID_PARAMS
    return {"jsonrpc": "2.0", "id": message_id, "error": {"code": code, "message": str(error)}}
