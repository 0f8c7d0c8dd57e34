"""A campaign of a system file: how it is created, and what is done before each run.

With a campaign of its own no run meets another. Where a system cannot create one, `before_run`
makes it as it was: requests, SQL or commands, in their order, each time.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from gameday.core.units import Duration
from gameday.spec.audit import CommandRun, kind_by
from gameday.spec.request import Request, Secret
from gameday.spec.yaml import Model, shape

MOST_ACTS = 50


class CreatedCampaign(Model):
    """A campaign whose code the system makes up: it is taken from the answer."""

    create: Request = Field(
        description="Creates the campaign", examples=[{"post": "/sales", "json": {"size": 100}}]
    )
    capture: Mapping[Literal["coupon"], str] = Field(
        default_factory=dict,
        description="Dotted path, in the answer, of what `{coupon}` is from then on",
        examples=[{"coupon": "data.id"}],
    )


Campaign = Annotated[
    Annotated[Request, Tag("request")] | Annotated[CreatedCampaign, Tag("created")],
    Discriminator(
        lambda value: (
            "created"
            if ("create" in value if isinstance(value, Mapping) else hasattr(value, "create"))
            else "request"
        )
    ),
]

_Statement = Annotated[str, Field(min_length=1)]
Statements = Annotated[
    Annotated[_Statement, Tag("one")]
    | Annotated[list[_Statement], Field(min_length=1, max_length=MOST_ACTS), Tag("list")],
    Discriminator(shape),
]


class SqlAct(Model):
    """Statements in one transaction; `{coupon}`, `{stock}` and `{run}` become literals."""

    sql: Statements = Field(
        description="One statement or a list; placeholders without quotes around them",
        examples=[["DELETE FROM claims WHERE sale = {coupon}"]],
    )
    store: Literal["postgres", "mysql"] = Field(description="The store of `stores` it is for")
    url: Secret | None = Field(
        default=None,
        description="Another login than that of the store, with the right to write",
        examples=[{"env": "RESET_DATABASE"}],
    )
    timeout: Duration = Field(
        default=timedelta(seconds=30), description="How long they may take", examples=["30s"]
    )

    @property
    def statements(self) -> list[str]:
        return [self.sql] if isinstance(self.sql, str) else self.sql


class CommandAct(CommandRun):
    """A command that is run; its status must be 0."""


Act = Annotated[
    Annotated[Request, Tag("request")]
    | Annotated[SqlAct, Tag("of-sql")]
    | Annotated[CommandAct, Tag("of-command")],
    kind_by("sql", "command"),
]
"""Something that is done before a run."""
