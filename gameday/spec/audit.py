"""The audit of a system file: where the durable issues are read, and which part of them is what.

An answer over HTTP, the output of a command, or a store that the system file names. The shape of an
answer is the system's own: dotted paths say where its rows are, and what of a row is the user and
the id of the issue. Without any of them it is the format of docs/own-system.md.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from gameday.core.units import Duration
from gameday.spec.request import METHODS, ROOT, HeaderValue, Request
from gameday.spec.yaml import Model

MOST_PAGES = 100_000
Argv = Annotated[list[str], Field(min_length=1, max_length=100)]
StoreName = Literal["postgres", "mysql", "redis"]


_MISSPELT: Final = 0.75


class Shaped(Model):
    """Dotted paths to what an audit tells, as `json` and `capture` of a request have them."""

    rows: str | None = Field(
        default=None,
        description="Dotted path to the list of issues; `$` is the whole answer",
        examples=["data.items"],
    )
    user: str | None = Field(
        default=None,
        description="Path of the user in each of them; `$` where it is the user itself",
        examples=["memberId"],
    )
    id: str | None = Field(
        default=None,
        description="Path of the issue's id in each; without it, and with `user`, they have none",
        examples=["voucher.code"],
    )
    stock: str | None = Field(
        default=None, description="Path of how many there are in all", examples=["data.limit"]
    )
    remaining: str | None = Field(
        default=None,
        description="Path of how many are left; it must agree with the rows",
        examples=["data.left"],
    )
    total: str | None = Field(
        default=None,
        description="Path of how many issues there are; other than the rows that came: unknown",
        examples=["meta.total"],
    )

    @property
    def is_mapped(self) -> bool:
        """True if any path is given: else the answer has gameday's own form."""
        return any(getattr(self, key) is not None for key in Shaped.model_fields)

    @property
    def rows_path(self) -> str:
        return self.rows or "rows"

    @property
    def user_path(self) -> str:
        return self.user or "userId"

    @property
    def id_path(self) -> str | None:
        """Path of the id; None where issues have none."""
        return "issueId" if self.id is None and self.user is None else self.id


class Paging(Model):
    """The pages of an audit: each tells where the next is, or they are numbered."""

    next: str | None = Field(
        default=None,
        description="Path of the next page's address, or of a token for `{next}`; null on the last",
        examples=["links.next"],
    )
    from_: int = Field(
        default=1,
        ge=0,
        le=1,
        alias="from",
        description="Number of the first page, for `{page}`",
        examples=[0],
    )
    most: int = Field(
        default=1_000,
        ge=1,
        le=MOST_PAGES,
        description="Pages that are read; more of them make the audit unknown",
        examples=[200],
    )


class AuditRequest(Request, Shaped):
    """An answer over HTTP: one, or several pages."""

    url: str | None = Field(
        default=None,
        description="Where it is asked; default base_url",
        examples=["http://127.0.0.1:9000"],
    )
    paging: Paging | None = Field(
        default=None, description="Where the answer comes in pages", examples=[{"next": "next"}]
    )

    @property
    def is_mapped(self) -> bool:
        return self.paging is not None or super().is_mapped


class CommandRun(Model):
    """A command: its arguments, what it gets in its environment, and its time."""

    command: Argv = Field(
        description="Program and arguments; a path with a / counts from here",
        examples=[["./audit.sh", "{coupon}"]],
    )
    env: Mapping[str, HeaderValue] = Field(
        default_factory=dict,
        description="What is added to its environment: the one place for a secret",
        examples=[{"TOKEN": {"env": "AUDIT_TOKEN"}}],
    )
    timeout: Duration = Field(
        default=timedelta(seconds=60), description="How long it may take", examples=["30s"]
    )
    folder: str | None = Field(
        default=None,
        description="Where it is run, from here; default the folder of this file",
        examples=["tools"],
    )


class AuditCommand(CommandRun, Shaped):
    """What a command prints: JSON in the shape of an answer, or CSV with a line of names."""

    format: Literal["json", "csv"] = Field(
        default="json", description="What it prints; in CSV paths are names of columns"
    )

    @model_validator(mode="after")
    def _csv_has_columns(self) -> "AuditCommand":
        beside = [key for key in ("rows", "stock", "remaining", "total") if getattr(self, key)]
        if self.format == "csv" and beside:
            raise ValueError(f"CSV has rows alone: leave out {', '.join(beside)}")
        if self.format == "csv" and ROOT in (self.user, self.id):
            raise ValueError(f"in CSV a user is a column, and {ROOT} is none")
        return self


class AuditStore(Model):
    """The rows of a store alone: `stores` says how they are read there."""

    store: StoreName = Field(
        description="The store that is the audit: one under `stores`", examples=["mysql"]
    )


def kind_by(*keys: str) -> Discriminator:
    """Discriminator of a union: `of-` the first of these keys that is there, else `request`.

    A key that is merely misspelt counts where no method of a request is there. No kind is called as
    a key is, so that an error's place names the key.
    """

    def kind(value: object) -> str:
        for key in keys:
            if (key in value) if isinstance(value, Mapping) else hasattr(value, key):
                return f"of-{key}"
        if isinstance(value, Mapping) and not {*METHODS} & value.keys():
            from difflib import get_close_matches  # only for who has mistaken a key

            given = [each for each in value if isinstance(each, str)]
            for key in keys:
                if get_close_matches(key, given, n=1, cutoff=_MISSPELT):
                    return f"of-{key}"
        return "request"

    return Discriminator(kind)


Audit = Annotated[
    Annotated[AuditRequest, Tag("request")]
    | Annotated[AuditCommand, Tag("of-command")]
    | Annotated[AuditStore, Tag("of-store")],
    kind_by("store", "command"),
]
