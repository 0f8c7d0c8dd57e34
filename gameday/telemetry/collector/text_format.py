"""Prometheus' text format, read fast: the labels of a line are parsed once, its value each time.

A target says the same series in every scrape; only the numbers change. What stands before the
number is therefore looked up among the series seen before, and only a new one goes through the
parser of `prometheus_client`. 500 series cost about 1 ms this way and 40 ms without. What was met
is forgotten now and then, and a target whose labels change with every scrape is down once it has
told of more series than a run can keep. The format:
https://prometheus.io/docs/instrumenting/exposition_formats/ (0.0.4). A timestamp in a line is
passed over, because every sample lies on the collector's grid.

A target is the system under test or its neighbour, and may say what it likes. `k6_*` is what
gameday counts of its own traffic and `up` whether a target answered: these names are not a
target's to give, for guards and charts believe them, so there they read `exported_<name>`.
"""

import re
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from gameday.core.errors import UnknownError
from gameday.telemetry.promql.labels import NAME, Labels, label_set
from gameday.telemetry.sources.source import DifferentSeries

LONGEST = 16 * 1024 * 1024  # 20,000 series of 800 bytes
LONGEST_LINE = 64 * 1024  # a series with its labels has some hundred bytes
MOST_SERIES = 20_000  # a service has hundreds; bounds memory and a scrape's second
_OURS = re.compile(r"k6_|up\Z")


class ExpositionError(UnknownError):
    """An answer of a target that is not Prometheus' text format."""


class Reader:
    """Reads the answers of one target; `added` labels stand on each of its series.

    A label that the target itself uses moves to `exported_<name>`, as in Prometheus, and so does
    the name of a series that only gameday may say.
    """

    def __init__(self, added: Mapping[str, str]) -> None:
        self._added = added
        self._known: dict[str, Labels] = {}
        self._known_characters = 0
        self._different = DifferentSeries()

    def read(self, text: str) -> dict[Labels, float]:
        """The series of one answer. Raises ExpositionError."""
        # Before, and not while it is read: what a target says each time stays known then.
        if len(self._known) > 2 * MOST_SERIES or self._known_characters > 2 * LONGEST:
            self._known.clear()
            self._known_characters = 0
        found: dict[Labels, float] = {}
        samples = 0  # not of `found`: a series that is said a thousand ways is parsed as often
        for line in text.split("\n"):
            if not line or line[0] == "#":
                continue
            samples += 1
            if samples > MOST_SERIES:
                raise ExpositionError(f"more than {MOST_SERIES} series")
            end = line.rfind("}") + 1 or line.find(" ")
            series = self._known.get(line[:end]) if end > 0 else None
            if series is None:
                series = self._meet(line, end)
            if series is not None:
                found[series] = _number(line, end)
        return found

    def _meet(self, line: str, end: int) -> Labels | None:
        """The series a new line names; None for a line of white space."""
        if len(line) > LONGEST_LINE:  # what is short was met before, so this costs nothing
            raise ExpositionError(f"a line of {len(line) / 1e6:.1f} MB")
        text = line.strip()
        if not text or text[0] == "#":
            return None
        if end <= 0:
            raise ExpositionError(f"not a sample: {line[:80]!r}")
        series = self._parse(line[:end])
        if why := self._different.refuse(series):
            raise ExpositionError(why)
        self._known[line[:end]] = series
        self._known_characters += end
        return series

    def _parse(self, head: str) -> Labels:
        try:
            families = list(text_string_to_metric_families(f"{head} 0\n"))
            (sample,) = [sample for family in families for sample in family.samples]
        except (ValueError, IndexError, KeyError) as error:
            raise ExpositionError(f"not a sample: {head[:80]!r}") from error
        own = {f"exported_{k}" if k in self._added else k: v for k, v in sample.labels.items()}
        name = f"exported_{sample.name}" if _OURS.match(sample.name) else sample.name
        return label_set({**own, **self._added, NAME: name})


def _number(line: str, start: int) -> float:
    words = line[start:].split()
    if not 1 <= len(words) <= 2:
        raise ExpositionError(f"a value is missing: {line[:80]!r}")
    try:
        return float(words[0])
    except ValueError as error:
        raise ExpositionError(f"not a number: {words[0][:80]!r}") from error
