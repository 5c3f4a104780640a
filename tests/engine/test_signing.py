import pytest

from engine.errors import ConfigError
from engine.signing import Signer


def test_every_key_signs_under_its_id() -> None:
    both = Signer.of("b:new, a:old").headers("m", b"{}")
    assert both["webhook-key-id"] == "b a"
    first, second = both["webhook-signature"].split()
    assert first.startswith("v1,")
    assert first != second


def test_a_secret_alone_has_a_name_too() -> None:
    assert Signer.of("s3cret").headers("m", b"")["webhook-key-id"] == "default"
    assert Signer.of("").headers("m", b"") == {}


@pytest.mark.parametrize("text", ["a:x,a:y", "x,y", ":x", "a:"])
def test_keys_that_cannot_be_told_apart_do_not_start(text: str) -> None:
    with pytest.raises(ConfigError, match="WEBHOOK_SECRET"):
        Signer.of(text)
