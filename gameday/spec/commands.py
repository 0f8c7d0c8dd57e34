"""Commands of a system file: programs that gameday runs for it, each an argv, and no shell's line.

`gameday.plan.commands` lists them, so that each is printed, and asked about where the file is not
of the user's own project.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field, field_validator

from gameday.core.units import Duration, format_duration
from gameday.spec.model import CuredError, Model

SHORTEST: Final = timedelta(milliseconds=100)
LONGEST: Final = timedelta(seconds=60)
MOST_WORDS: Final = 256
LONGEST_WORD: Final = 8192


def _word(text: str) -> str:
    if "\0" in text:
        raise ValueError("an argument cannot hold a zero byte")
    return text


def _argv(words: list[str]) -> list[str]:
    if not words[0].strip():
        raise ValueError("the first word is the program: it is empty")
    return words


Word = Annotated[str, Field(max_length=LONGEST_WORD), AfterValidator(_word)]
Argv = Annotated[list[Word], Field(min_length=1, max_length=MOST_WORDS), AfterValidator(_argv)]
"""A program and its arguments; no shell reads it."""


class FaultCommand(Model):
    """A command that a fault may run, with the one that takes it back.

    Both run in the folder of the system file, with this shell's environment, and may run twice.
    """

    run: Argv = Field(
        description="The program and its arguments; no shell. Exit code 0: it is done",
        examples=[["docker", "kill", "shop-cache"]],
    )
    undo: Argv = Field(
        description="What takes it back, whoever runs it and however often; exit code 0: it has",
        examples=[["docker", "start", "shop-cache"]],
    )
    check: Argv | None = Field(
        default=None,
        description="Tells whether the fault is in: exit code 0 if it is, 3 if it is not",
        examples=[["./is-cache-down.sh"]],
    )
    within: Duration = Field(
        default=timedelta(seconds=30),
        description="How long each of them may take, 60s at most; then it is ended",
        examples=["10s"],
    )

    @field_validator("within")
    @classmethod
    def _is_bounded(cls, within: timedelta) -> timedelta:
        if not SHORTEST <= within <= LONGEST:
            raise CuredError(
                f"{format_duration(within)} is not 100ms to 60s: so long the end of the fault may"
                " have to wait",
                help="within: 30s",
            )
        return within

    @property
    def argvs(self) -> dict[str, list[str]]:
        """Each argv by its key."""
        return {k: v for k in ("run", "undo", "check") if (v := getattr(self, k)) is not None}


def argv_sha256(argv: Sequence[str]) -> str:
    """SHA-256 of an argv: of its JSON list in ASCII, without blanks; 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(list(argv), separators=(",", ":")).encode()).hexdigest()
