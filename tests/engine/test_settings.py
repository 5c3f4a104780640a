from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from engine.errors import ConfigError
from engine.settings import Settings


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)


def test_development_on_loopback_needs_nothing() -> None:
    settings().check()


def test_an_issuer_of_tokens_needs_an_audience() -> None:
    with pytest.raises(ConfigError, match="FRONTDESK_JWT_AUDIENCE"):
        settings(jwt_issuer="https://id.example").check()
    settings(jwt_issuer="https://id.example", jwt_audience="desk").check()


@pytest.mark.parametrize(
    ("missing", "variable"),
    [
        ("database_url", "DATABASE_URL"),
        ("redis_url", "REDIS_URL"),
        ("demo", "FRONTDESK_DEMO"),
    ],
)
def test_production_names_the_variable_that_is_missing(missing: str, variable: str) -> None:
    safe: dict[str, object] = {
        "env": "production",
        "api_keys": SecretStr("acme:trusted:s3cret"),
        "database_url": "postgresql://db/frontdesk",
        "redis_url": "redis://cache",
        "demo": False,
    }
    settings(**safe).check()
    del safe[missing]
    with pytest.raises(ConfigError, match=variable):
        settings(**safe).check()


def test_settings_come_from_the_environment_and_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("FRONTDESK_SLOTS=3\nPORT=4001\n")
    monkeypatch.setenv("PORT", "4002")
    found = Settings()
    assert (found.slots, found.port) == (3, 4002)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:2024"),
        ("0.0.0.0", "http://127.0.0.1:2024"),  # noqa: S104 - not bound
        ("::", "http://[::1]:2024"),
        ("desk.example", "http://desk.example:2024"),
    ],
)
def test_the_url_is_one_that_can_be_asked(host: str, url: str) -> None:
    assert settings(host=host).url == url


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings().port = 1  # type: ignore[misc]


def test_a_secret_is_not_printed() -> None:
    assert "s3cret" not in repr(settings(api_keys=SecretStr("a:trusted:s3cret")))


def test_empty_checkpointer_settings_are_unset() -> None:
    found = settings(checkpointer="", checkpoint_idle_seconds="")
    assert (found.checkpointer, found.checkpoint_idle_seconds) == (None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"checkpointer": "sqlite"},
        {"checkpoint_schema": ""},
        {"checkpoint_prefix": "a{b}"},
        {"checkpoint_redis_seconds": 0},
        {"checkpoint_idle_seconds": -1},
        {"checkpoint_idle_strategy": "archive"},
    ],
    ids=str,
)
def test_checkpointer_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        settings(**wrong)


def test_keys_of_checkpoints_are_not_printed() -> None:
    assert "a2V5" not in repr(settings(checkpoint_keys=SecretStr("one:a2V5")))
