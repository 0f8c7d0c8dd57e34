"""The start of a service by the embedded stack: `start` of a system file, and its placeholders.

`{redis}` and `{postgres}` are the proxied stores, `{redis_direct}` and `{postgres_direct}` the
same past the proxies, `{port}` and `{admin_port}` where the service is to listen, `{secret}` a
random text of this start. Of each address there are the parts: `{postgres_host}`, `_port`,
`_user`, `_password` and `_database`, and `{postgres_direct_host}` and so on. `{redis_url}` has no
password, and neither has the Redis of whoever asks for it: some clients cannot take one.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Discriminator, Field, Tag

from gameday.core import files
from gameday.spec.yaml import Model

STORES: Final = ("redis", "postgres")
PORTS: Final = ("port", "admin_port")
PARTS: Final = ("host", "port", "user", "password", "database")
ADDRESSES: Final = (*STORES, *(f"{store}_direct" for store in STORES))
OPEN: Final = frozenset({"redis_url", "redis_direct_url"})
"""Addresses of a Redis that asks for no password."""
_OF_ADDRESSES: Final = {f"{address}_{part}": part for address in ADDRESSES for part in PARTS}
PLACEHOLDERS: Final = frozenset({*ADDRESSES, *_OF_ADDRESSES, *OPEN, *PORTS, "secret"})
PUBLIC: Final = frozenset(
    {*PORTS, *OPEN, *(name for name, part in _OF_ADDRESSES.items() if part != "password")}
)
"""Placeholders without a password: any user of the machine may read the arguments of a process."""
MAIN: Final = (*ADDRESSES, "redis_url", *PORTS, "secret")
"""Placeholders that an error names; the parts of addresses are too many."""
MOST_SETUP: Final = 20
SQL_BYTES: Final = 64 * files.MIB


class SqlFile(Model):
    """A file of SQL that the embedded PostgreSQL executes, whether `psql` is there or not."""

    sql: str = Field(
        min_length=1, description="The path of the file, from here", examples=["schema.sql"]
    )


Command = Annotated[list[str], Field(min_length=1)]
SetupStep = Annotated[
    Annotated[Command, Tag("command")] | Annotated[SqlFile, Tag("sql")],
    Discriminator(
        lambda value: "command" if isinstance(value, list | tuple | str) else "sql",
        custom_error_type="setup",
        custom_error_message="write a command as a list of words, or {sql: FILE}",
    ),
]


class Start(Model):
    """Command and environment of the service in the embedded stack; docs/own-start.md has more."""

    argv: list[str] = Field(min_length=1, description="The command; a leading `python` is this one")
    env: Mapping[str, str] = Field(default_factory=dict, description="Its environment")
    setup: list[SetupStep] = Field(
        default_factory=list,
        max_length=MOST_SETUP,
        description="Commands and files of SQL before the service, in order, each at most 60s:"
        " schema, migrations, seed data. Commands have the environment of the service",
        examples=[[["npm", "run", "migrate"], {"sql": "seed.sql"}]],
    )
    ready: str = Field(default="/", description="A path that answers 200 once it is healthy")
