from engine.project.manifest import AuthPart
from server.hosting.hosted import secured

DOCUMENT = {
    "paths": {"/threads": {"post": {"summary": "Create"}, "get": {}}},
    "components": {"schemas": {"Thread": {}}},
}


def test_the_document_tells_how_the_project_wants_to_be_called() -> None:
    schemes = {"key": {"type": "apiKey", "in": "header", "name": "x-key"}}
    openapi = {
        "securitySchemes": schemes,
        "security": [{"key": []}],
        "paths": {"/threads": {"POST": [], "PUT": []}, "/gone": {"GET": []}},
    }
    told = secured(DOCUMENT, AuthPart(path="./auth.py:auth", openapi=openapi))
    assert told["components"] == {"schemas": {"Thread": {}}, "securitySchemes": schemes}
    assert told["security"] == [{"key": []}]
    assert told["paths"].keys() == {"/threads"}
    assert told["paths"]["/threads"] == {"post": {"summary": "Create", "security": []}, "get": {}}
    assert secured(DOCUMENT, AuthPart(path="./auth.py:auth")) == DOCUMENT
