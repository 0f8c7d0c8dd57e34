"""References to the source of a figure, and the format of times and lengths."""

from gameday.evidence.journal import Record
from gameday.report.markdown import Markup, code


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
    return None if at_s is None else Markup(f"{at_s:.1f} s")


def length(seconds: float | None) -> Markup | None:
    """A length of time."""
    if seconds is None:
        return None
    if 0 < abs(seconds) < 1:
        return Markup(f"{seconds * 1000:.0f} ms")
    return Markup(f"{seconds:.1f} s")


def milliseconds(value: float | None) -> Markup | None:
    """A latency given in ms."""
    if value is None:
        return None
    return Markup(f"{value:,.0f} ms" if abs(value) >= 10 else f"{value:.1f} ms")


def percent(ratio: float | None) -> Markup | None:
    """A share of 1."""
    return None if ratio is None else Markup(f"{ratio * 100:.2f} %")


def difference(later: float | None, earlier: float | None) -> float | None:
    """Later − earlier, None where one of them is not known."""
    return None if later is None or earlier is None else later - earlier
