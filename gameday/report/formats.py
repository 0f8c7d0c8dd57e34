"""The forms of a report that are made whole, by name: a run directory becomes the bytes of a file.

Markdown is not among them: people edit it, so it is written beside what they wrote (`postmortem`).
The names and the files of all forms stand in `core/report_forms`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gameday.core import files, settings
from gameday.core.errors import UnknownError
from gameday.judge.result import Result
from gameday.report.action_items import collect
from gameday.report.html import page, pdf
from gameday.report.junit import junit
from gameday.report.result_json import with_items

_RESULT: Final = "result.json"
_LARGEST_BYTES: Final = 64 * files.MIB


@dataclass(frozen=True, slots=True)
class Made:
    """The bytes of a file, and what could not be read for it, in words."""

    raw: bytes
    problems: Sequence[str] = ()


Maker = Callable[[Path, Sequence[Path]], Made]
"""Of a run directory, and of all runs there are: a later one may have closed an action item."""


def _html(run_dir: Path, _: Sequence[Path]) -> Made:
    return Made(page(run_dir))


def _pdf(run_dir: Path, _: Sequence[Path]) -> Made:
    return Made(pdf(run_dir))


def _json(run_dir: Path, run_dirs: Sequence[Path]) -> Made:
    result = result_of(run_dir)
    found = collect(run_dirs if run_dir in run_dirs else [run_dir, *run_dirs])
    own = [each for each in found.items if each.run == run_dir.name]
    return Made(with_items(result, own), found.problems)


def _junit(run_dir: Path, _: Sequence[Path]) -> Made:
    return Made(junit(result_of(run_dir), settings.language()))


MAKERS: Final[Mapping[str, Maker]] = {"html": _html, "pdf": _pdf, "json": _json, "junit": _junit}


def result_of(run_dir: Path) -> Result:
    """The result of a run. Raises UnknownError where it cannot be read."""
    path = run_dir / _RESULT
    try:
        return Result.from_bytes(files.read_bytes(path, _LARGEST_BYTES))
    except OSError as error:
        raise UnknownError(f"{path}: {error.strerror}", help=files.HELP) from error
    except (ValueError, RecursionError) as error:
        raise UnknownError(f"{path}: {error}", help="gameday check judges a run again") from error
