"""The card by which an A2A client gets to know an assistant."""

from typing import Any

from engine.assistants import Assistant
from server.bodies import Object
from server.meta import API_VERSION

HISTORY_SCOPE = "LangGraph-A2A-History-Scope"
_MODES = ["application/json", "text/plain"]
_EXTENSION = {
    "uri": "https://langchain.com/a2a/extensions/history-scope/v1",
    "description": "Choose task-only or full-context response history",
    "required": False,
    "params": {
        "header": HISTORY_SCOPE,
        "values": ["context", "task"],
        "default": "context",
        "methods": ["SendMessage", "GetTask", "ListTasks"],
    },
}


def card(assistant: Assistant, schema: Object, base_url: str) -> Object:
    """`schema`: that of what goes into its graph. Both generations can read the card."""
    url = f"{base_url}a2a/{assistant.assistant_id}"
    about = assistant.description or f"{assistant.name} assistant"
    properties: Any = schema.get("properties") or {}
    skill = {
        "id": f"{assistant.assistant_id}-main",
        "name": f"{assistant.name} Capabilities",
        "description": about,
        "tags": ["assistant", "langgraph"],
        "examples": [],
        "inputModes": _MODES,
        "outputModes": _MODES,
        "metadata": {
            "inputSchema": {
                "required": schema.get("required") or [],
                "properties": sorted(properties),
                "supportsA2A": "messages" in properties,
            }
        },
    }
    return {
        "name": assistant.name,
        "description": about,
        "url": url,
        "preferredTransport": "JSONRPC",
        "protocolVersion": "0.3.0",
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": version}
            for version in ("1.0", "0.3")
        ],
        "capabilities": {
            "streaming": True,
            "pushNotifications": False,
            "stateTransitionHistory": False,
            "extendedAgentCard": True,
            "extensions": [_EXTENSION],
        },
        "defaultInputModes": _MODES,
        "defaultOutputModes": _MODES,
        "skills": [skill],
        "version": API_VERSION,
    }
