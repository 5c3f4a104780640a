"""Every setting, read once from the environment and `.env`, then passed down."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.errors import ConfigError

Role = Literal["all", "api", "worker"]
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
CheckpointerKind = Literal["tiered", "postgres", "redis"]


class Settings(BaseSettings):
    """What can be set, with its default. Frozen: change the environment and start again."""

    model_config = SettingsConfigDict(
        frozen=True, env_file=".env", env_prefix="FRONTDESK_", extra="ignore", populate_by_name=True
    )

    env: Literal["development", "production"] = Field(
        "development", description="`production` refuses unsafe defaults at start."
    )
    host: str = Field("127.0.0.1", validation_alias="HOST", description="Address to listen on.")
    port: int = Field(2024, validation_alias="PORT", description="Port to listen on.")
    role: Role = Field(
        "all", description="`api` takes requests, `worker` executes runs, `all` both."
    )
    data: Path = Field(
        Path(".frontdesk"), description="Folder of the embedded servers and trained models."
    )
    database_url: str | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="PostgreSQL with pgvector; empty starts an embedded one.",
    )
    redis_url: str | None = Field(
        None,
        validation_alias="REDIS_URL",
        description="Redis or Valkey; empty starts an embedded one.",
    )
    checkpointer: CheckpointerKind | None = Field(
        None,
        description="Where checkpoints are: `postgres`, `tiered` (there, those of active threads "
        "also in Redis) or `redis` alone; empty is `tiered` where there is a real Redis.",
    )
    checkpoint_schema: str = Field(
        "checkpoints", min_length=1, description="Schema of the checkpoints' tables in PostgreSQL."
    )
    checkpoint_prefix: str = Field(
        "checkpoints",
        pattern=r"^[^{}]+$",
        description="What the checkpoints' keys in Redis begin with.",
    )
    checkpoint_redis_seconds: float = Field(
        3600.0, gt=0, description="`tiered`: so long after its last use a thread leaves Redis."
    )
    checkpoint_idle_seconds: float | None = Field(
        None, gt=0, description="After so long without a save checkpoints go; empty keeps them."
    )
    checkpoint_idle_strategy: Literal["delete", "keep_latest"] = Field(
        "delete", description="What then goes: all of a thread, or all but its latest checkpoint."
    )
    thread_ttl_minutes: float | None = Field(
        None,
        gt=0,
        le=50_000_000,
        description="So long after its last change a thread expires, unless it says otherwise; "
        "empty keeps threads.",
    )
    thread_ttl_strategy: Literal["delete", "keep_latest"] = Field(
        "delete", description="What then goes: the thread, or all but its latest checkpoint."
    )
    thread_sweep_minutes: float = Field(
        5.0, gt=0, description="So often expired threads are looked for."
    )
    checkpoint_keys: SecretStr = Field(
        SecretStr(""),
        description="Comma-separated `id:key`, a key being 32 bytes in base64: checkpoints are "
        "encrypted with the first, and opened with any. Empty does not encrypt.",
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="Comma-separated `tenant:trusted:secret` or `tenant:public:secret`. "
        "A trusted key may name the customer; a public one may not.",
    )
    jwt_issuer: str | None = Field(
        None,
        description="Issuer (OpenID Connect) whose tokens let end users in; empty takes no tokens.",
    )
    jwt_audience: str | None = Field(
        None, description="Audience that a token must name; needed with an issuer."
    )
    jwt_jwks_url: str | None = Field(
        None, description="Where the issuer's keys are; empty asks the issuer."
    )
    jwt_leeway_seconds: float = Field(
        30.0, ge=0, description="How far the issuer's clock may be from ours."
    )
    jwt_tenant: str = Field(
        "default", min_length=1, description="Tenant of the issuer's users, where no claim says it."
    )
    jwt_tenant_claim: str = Field("", description="Claim that names the tenant; empty for none.")
    jwt_customer_claim: str = Field(
        "", description="Claim that fixes the customer for whom a token speaks; empty for none."
    )
    small_model: str = Field(
        "local:intent", description="Classifies: `local:intent` or `openai:NAME`."
    )
    large_model: str = Field(
        "local:extractive", description="Answers: `local:extractive` or `openai:NAME`."
    )
    fallback_model: str = Field(
        "", description="Answers when the large model fails; empty for none."
    )
    embedding_model: str = Field(
        "local:minilm", description="Embeds: `local:minilm`, `local:minilm-int8` or `openai:NAME`."
    )
    openai_api_key: SecretStr = Field(
        SecretStr(""), validation_alias="OPENAI_API_KEY", description="Key for `openai:` models."
    )
    openai_base_url: str | None = Field(
        None,
        validation_alias="OPENAI_BASE_URL",
        description="Any OpenAI-compatible server (Azure, vLLM, Ollama).",
    )
    model_timeout: float = Field(30.0, gt=0, description="Seconds one model call may take.")
    model_retries: int = Field(
        2, ge=0, description="Retries of a model call that failed in passing."
    )
    prompt_tokens: int = Field(
        3000, ge=500, description="Budget of one prompt: summary, turns, passages, tool results."
    )
    passages: int = Field(5, ge=1, le=50, description="Passages retrieved for a question.")
    dense_weight: float = Field(
        0.7, ge=0, le=1, description="Weight of meaning against words when passages are ranked."
    )
    slots: int = Field(64, ge=1, description="Runs one process executes at a time.")
    run_seconds: float | None = Field(
        None, gt=0, description="A run that takes longer ends as `timeout`; empty lets it."
    )
    tenant_runs: int | None = Field(
        None, ge=1, description="Runs of one tenant at work at a time, in all processes."
    )
    max_waiting: int = Field(
        1_000, ge=1, description="Runs that may wait for a slot; more are answered with 429."
    )
    tenant_max_waiting: int | None = Field(None, ge=1, description="The same for one tenant.")
    max_lag_seconds: float = Field(
        1.0,
        gt=0,
        description="While the event loop is later, runs are answered with 503.",
    )
    lease_seconds: float = Field(
        3.0, gt=0, description="After so long without a beat a run is taken over."
    )
    drain_seconds: float = Field(
        5.0, ge=0, description="At a stop, runs at work get so long before they are handed over."
    )
    job_attempts: int = Field(
        10, ge=1, description="So often a background job is tried before it is a dead letter."
    )
    job_retry_seconds: float = Field(
        2.0, gt=0, description="Pause before its second attempt; each next is 4 times as long."
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="Comma-separated `id:secret`: webhooks are signed with each (HMAC-SHA256), "
        "so that keys can be exchanged; empty signs nothing.",
    )
    webhook_private: bool = Field(
        default=False, description="Deliver webhooks to private and loopback addresses too."
    )
    webhook_timeout: float = Field(10.0, gt=0, description="Seconds one delivery may take.")
    prices: dict[str, tuple[float, float]] = Field(
        {},
        description="JSON: by model what a million tokens cost, read and written, such as "
        '`{"gpt-4o": [2.5, 10]}`.',
    )
    threaded_nodes: str = Field(
        "",
        description="Comma-separated `graph.node`, or `*`: these nodes block, so each of their "
        "calls gets a thread.",
    )
    loop_block_seconds: float = Field(
        0.1, gt=0, description="What blocks the event loop for so long is named in a warning."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="`text` or `json`: how a line of the log is written."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="The least that is logged; DEBUG may show what customers wrote."
    )
    otlp_endpoint: str | None = Field(
        None,
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="OpenTelemetry collector (OTLP over HTTP), such as `http://localhost:4318`; "
        "empty sends it nothing.",
    )
    otlp_traces_endpoint: str | None = Field(
        None,
        validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        description="Full URL for traces, instead of the collector's.",
    )
    otlp_metrics_endpoint: str | None = Field(
        None,
        validation_alias="OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        description="Full URL for metrics, instead of the collector's.",
    )
    rate_limit: int = Field(600, ge=1, description="Requests a minute for each API key.")
    max_streams: int = Field(
        2_000, ge=1, description="Streams and waits one caller may hold open in one process."
    )
    max_body_bytes: int = Field(1_000_000, ge=1_000, description="Largest request body.")
    max_message_chars: int = Field(8_000, ge=100, description="Longest customer message.")
    demo: bool = Field(
        default=True,
        description="Load the demo company and its knowledge base when the database is empty.",
    )

    @field_validator(
        "database_url",
        "redis_url",
        "openai_base_url",
        "checkpointer",
        "checkpoint_idle_seconds",
        "thread_ttl_minutes",
        "run_seconds",
        "tenant_runs",
        "tenant_max_waiting",
        "jwt_issuer",
        "jwt_audience",
        "jwt_jwks_url",
        "otlp_endpoint",
        "otlp_traces_endpoint",
        "otlp_metrics_endpoint",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

    @property
    def production(self) -> bool:
        return self.env == "production"

    @property
    def url(self) -> str:
        """Where this machine reaches the server."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def check(self) -> None:
        """Raise `ConfigError` naming every variable that production needs and does not have."""
        if self.jwt_issuer and not self.jwt_audience:
            raise ConfigError(
                "FRONTDESK_JWT_ISSUER needs FRONTDESK_JWT_AUDIENCE: tokens that the issuer made "
                "for others must not open anything here."
            )
        if not self.production:
            return
        missing = [
            f"{name} ({why})"
            for name, why, unsafe in (
                ("DATABASE_URL", "your PostgreSQL with pgvector", self.database_url is None),
                ("REDIS_URL", "your Redis or Valkey", self.redis_url is None),
                ("FRONTDESK_DEMO=false", "no invented customers in production", self.demo),
            )
            if unsafe
        ]
        if missing:
            raise ConfigError("FRONTDESK_ENV=production needs: set " + ", ".join(missing) + ".")
