import pytest
from starlette.datastructures import Headers

from engine.project.manifest import HeadersPart
from server.hosting.headers import Chosen

SENT = Headers(
    {
        "X-User-Id": "u1",
        "X-User-Secret": "s",
        "User-Agent": "curl",
        "Authorization": "Bearer t",
        "X-Api-Key": "k",
        "Cookie": "c",
    }
)


@pytest.mark.parametrize(
    ("includes", "excludes", "found"),
    [
        ([], [], set()),
        (["*"], [], {"x-user-id", "x-user-secret", "user-agent"}),
        (["X-User-*"], ["*secret*"], {"x-user-id"}),
        (["user-agent", "authorization"], [], {"user-agent", "authorization"}),
        (["x-*", "X-API-Key"], ["x-user-*"], {"x-api-key"}),
        (["x.user.id"], [], set()),
    ],
)
def test_headers_are_found_by_pattern_and_credentials_by_name_only(
    includes: list[str], excludes: list[str], found: set[str]
) -> None:
    chosen = Chosen.of(HeadersPart(includes=includes, excludes=excludes))
    assert chosen.of_request(SENT).keys() == found
