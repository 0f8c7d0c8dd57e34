"""The drill of an experiment file: what a training session needs beyond a run.

`drill:` is an overlay as `short:` is (top-level keys that replace those of the file), and holds the
keys of a session beside them. All of these are optional; what is left out is made from the file.

A text is written out, or named by its id: `{id: drill.redis_slow.briefing}` stands in
`report/locale/<language>.toml`, as all that is shipped does, and is text once it is read.
"""

from collections.abc import Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema

from gameday.core.errors import excerpt
from gameday.core.messages import Message, templates
from gameday.core.units import Duration
from gameday.spec.yaml import Model

MOST_HYPOTHESES: Final = 12  # as many as a person reads under pressure
MOST_HINTS: Final = 20
MOST_INJECTS: Final = 100
MOST_QUESTIONS: Final = 50
LONGEST_TEXT: Final = 2000

Severity = Literal["sev1", "sev2", "sev3", "sev4", "sev5"]
"""How bad an incident is; sev1 is the worst."""
Role = Literal["commander", "operations", "communications", "scribe"]
Difficulty = Literal["easy", "medium", "hard"]
InjectEvent = Literal["fault", "alert", "ack", "act", "mitigated", "recovered"]
"""Instants that an inject can wait for: the first of each."""


def _written_out(value: object, info: ValidationInfo) -> object:
    """The text of an id in the language of the context. Raises ValueError for an unknown id."""
    if not isinstance(value, dict):
        return value
    if set(value) != {"id"} or not isinstance(value["id"], str):
        raise ValueError("a mapping is not text: write the text, or {id: ID}")
    language = (info.context or {}).get("language", "en")
    known = templates("en")
    if value["id"] not in known:
        ids = [each for each in known if each.startswith("drill.")]
        near = get_close_matches(excerpt(value["id"]), ids, n=1)
        cure = f"did you mean {near[0]!r}?" if near else "write the text itself"
        raise ValueError(f"there is no text {excerpt(value['id'])!r}: {cure}")
    is_translated = value["id"] in templates(language)
    return Message(value["id"]).text(language if is_translated else "en")


Text = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_TEXT),
    BeforeValidator(_written_out),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT},
                {
                    "type": "object",
                    "properties": {"id": {"type": "string"}},
                    "required": ["id"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""What people read; in a file also `{id: ID}`."""


class Hint(Model):
    """What is told to a team that asks for a hint, or that has none after `after`."""

    after: Duration = Field(
        default=timedelta(0), description="Counted from the fault; not to be had before"
    )
    cost: float = Field(default=0.05, ge=0, le=1, description="What it takes from the score")
    text: Text = Field(description="What is told")


class Inject(Model):
    """What somebody says during the incident: a customer, a colleague, a manager."""

    at: Duration | None = Field(default=None, description="Counted from the fault")
    on: InjectEvent | None = Field(default=None, description="The event that it follows")
    to: Role | Literal["all"] = Field(default="all", description="Who it is for")
    text: Text = Field(description="What is said")


class Drill(Model):
    """The keys of a session; the overlay's keys are not here (`spec.inputs`)."""

    lasts: Duration = Field(
        default=timedelta(minutes=10),
        description="The fault stays until it is mitigated, at most so long",
    )
    difficulty: Difficulty = Field(default="medium", description="How hard it is")
    minutes: int = Field(default=20, ge=1, le=240, description="How long a session takes")
    briefing: Text | None = Field(default=None, description="What the team is told at first")
    role: Role = Field(default="operations", description="The role of someone who is alone")
    hypotheses: Sequence[Text] = Field(
        default=(), max_length=MOST_HYPOTHESES, description="The right one first, then decoys"
    )
    hints: Sequence[Hint] = Field(default=(), max_length=MOST_HINTS, description="In their order")
    injects: Sequence[Inject] = Field(
        default=(), max_length=MOST_INJECTS, description="What is said during the incident"
    )
    severity: Severity | None = Field(default=None, description="The right severity")
    updates_every: Duration = Field(
        default=timedelta(minutes=5), description="How often those who wait are to be told"
    )
    debrief: Sequence[Text] = Field(
        default=(), max_length=MOST_QUESTIONS, description="Questions for afterwards"
    )
