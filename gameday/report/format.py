"""References to the source of a figure, and the format of times and lengths.

Units are written as the language of the page has them, "1.2 s" and "1.2초": a page is composed
`in_language`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from gameday.core.messages import fill, templates
from gameday.evidence.journal import Record
from gameday.report.markdown import Markup, code

_language: ContextVar[str] = ContextVar("language", default="en")


@contextmanager
def in_language(language: str) -> Iterator[None]:
    """Write times, lengths and shares in here as this language does."""
    before = _language.set(language)
    try:
        yield
    finally:
        _language.reset(before)


def unit(number: str, name: str) -> Markup:
    """A number with its unit: `s`, `ms`, `percent`, `per_s`."""
    return Markup(fill(templates(_language.get())[f"unit.{name}"], {"n": number}))


def has_unit(name: str) -> bool:
    """True if the unit has a form of its own."""
    return f"unit.{name}" in templates(_language.get())


def of_record(record: Record | None) -> Markup:
    """A record of the journal: `#12`."""
    return Markup("–") if record is None else code(f"#{record.seq}")


def of_records(*records: Record | None) -> Markup:
    """Several of them."""
    return Markup(" ".join(of_record(record) for record in records if record) or "–")


def of_sample(at_s: float | None) -> Markup:
    """An evaluation in the samples: `@23.000`."""
    return Markup("–") if at_s is None else code(f"@{at_s:.3f}")


def of_result(path: str) -> Markup:
    """A place in `result.json`: `traffic.failed`."""
    return code(path)


def clock(at_s: float | None) -> Markup | None:
    """An instant of the run, in seconds from t = 0."""
    return None if at_s is None else unit(f"{at_s:.1f}", "s")


def length(seconds: float | None) -> Markup | None:
    """A length of time."""
    if seconds is None:
        return None
    if 0 < abs(seconds) < 1:
        return unit(f"{seconds * 1000:.0f}", "ms")
    return unit(f"{seconds:.1f}", "s")


def milliseconds(value: float | None) -> Markup | None:
    """A latency given in ms."""
    if value is None:
        return None
    return unit(f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}", "ms")


def percent(ratio: float | None) -> Markup | None:
    """A share of 1."""
    return None if ratio is None else unit(f"{ratio * 100:.2f}", "percent")


def difference(later: float | None, earlier: float | None) -> float | None:
    """Later − earlier, None where one of them is not known."""
    return None if later is None or earlier is None else later - earlier


def date(iso: str) -> str:
    """A point in time of a result, as people write it; as it stands where it is none."""
    try:
        at = datetime.fromisoformat(iso).astimezone(UTC)
    except (ValueError, OverflowError):
        return iso
    words = templates(_language.get())
    return fill(
        words["date.full"],
        {
            "iso": iso,
            "year": at.year,
            "month": at.month,
            "day": at.day,
            "weekday": words[f"date.weekday_{at.weekday()}"],
            "time": at.strftime("%H:%M"),
        },
    )
