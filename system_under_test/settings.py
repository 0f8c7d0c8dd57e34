"""Settings: everything the service is told, read once from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


class SettingsError(Exception):
    """A setting is missing or cannot be used; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One replica's settings; the `audit_*` addresses go straight to the stores, past any proxy.

    `drain_s`: how long it goes on serving after SIGTERM, while its health check already fails; so
    long a balancer needs to see that, 0 where there is none.
    """

    redis_url: str = field(repr=False)
    database_url: str = field(repr=False)
    audit_redis: str = field(repr=False)
    audit_postgres: str = field(repr=False)
    admin_token: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8080
    admin_port: int = 9102
    redis_connections: int = 64
    postgres_writers: int = 8
    drain_s: int = 0
    limit_users: bool = False
    unfenced_switch: bool = False
    log_level: str = "INFO"


def from_environment(env: Mapping[str, str] = os.environ) -> Settings:
    """The settings named by `env`; raises SettingsError naming what is missing or wrong."""
    redis_url, database_url = _required(env, "REDIS_URL"), _required(env, "DATABASE_URL")
    return Settings(
        redis_url=redis_url,
        database_url=database_url,
        audit_redis=env.get("AUDIT_REDIS") or redis_url,
        audit_postgres=env.get("AUDIT_POSTGRES") or database_url,
        admin_token=_required(env, "ADMIN_TOKEN"),
        host=env.get("HOST", "127.0.0.1"),
        port=_number(env, "PORT", 8080),
        admin_port=_number(env, "ADMIN_PORT", 9102),
        redis_connections=_number(env, "SUT_REDIS_CONNECTIONS", 64),
        postgres_writers=_number(env, "SUT_POSTGRES_WRITERS", 8),
        drain_s=_number(env, "SUT_DRAIN_S", 0, least=0),
        limit_users=_switch(env, "SUT_LIMIT_USERS"),
        unfenced_switch=_switch(env, "SUT_UNFENCED_SWITCH"),
        log_level=env.get("LOG_LEVEL", "INFO").upper(),
    )


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        message = f"{name} is not set"
        raise SettingsError(message)
    return value


def _number(env: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or not least <= int(text) < 65536:
        message = f"{name}: {text!r} is not a number from {least} to 65535"
        raise SettingsError(message)
    return int(text)


def _switch(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name, "0")
    if text not in ("0", "1"):
        message = f"{name}: {text!r} is neither 0 nor 1"
        raise SettingsError(message)
    return text == "1"
