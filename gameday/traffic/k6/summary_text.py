"""The end summary as k6's users know it: a line a metric, thresholds with their marks.

Two things differ. Beside `http_req_duration`, which counts from the send as k6's does, stands
`http_req_duration_intended`, from the time the start was due. And a figure that is only the least
it can be, since requests were open in the end, is told as such.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gameday.traffic import thresholds
from gameday.traffic.k6.summary_json import TREND_STATS, Figures
from gameday.traffic.thresholds import ThresholdOutcome, parse_key

_WIDTH: Final = 32  # the column of names in k6's own summary
_GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "HTTP": (
        *("http_req_duration", "http_req_duration_intended", "http_req_failed", "http_reqs"),
        *("http_req_blocked", "http_req_connecting", "http_req_tls_handshaking"),
        *("http_req_sending", "http_req_waiting", "http_req_receiving"),
    ),
    "EXECUTION": ("dropped_iterations", "iteration_duration", "iterations", "vus", "vus_max"),
    "NETWORK": ("data_received", "data_sent"),
}
_ABOUT: Final = {
    "http_req_duration": "from the send, as k6 counts",
    "http_req_duration_intended": "from the time it was due",
}


@dataclass(frozen=True, slots=True)
class Marks:
    """The signs of a summary, as far as the terminal can show them."""

    kept: str = "✓"
    crossed: str = "✗"
    unknown: str = "?"
    at_least: str = "≥"
    micro: str = "µs"

    @classmethod
    def for_encoding(cls, encoding: str | None) -> "Marks":
        """Plain letters where the encoding has no signs."""
        try:
            "✓✗≥µ".encode(encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return cls(kept="+", crossed="x", unknown="?", at_least=">=", micro="us")
        return cls()

    def of(self, kept: bool | None) -> str:  # noqa: FBT001 - a verdict with three values
        return {True: self.kept, False: self.crossed, None: self.unknown}[kept]


def time_text(ms: float, marks: Marks) -> str:
    """Milliseconds as k6 writes them: the unit that fits, two decimals at most."""
    for below, size, unit in ((1.0, 0.001, marks.micro), (1000.0, 1.0, "ms"), (60_000.0, 1e3, "s")):
        if abs(ms) < below:
            return f"{_short(ms / size)}{unit}" if ms else "0s"
    minutes, rest_ms = divmod(ms, 60_000.0)
    return f"{minutes:.0f}m{_short(rest_ms / 1000)}s"


def _short(value: float) -> str:
    text = f"{value:.2f}"
    return text.rstrip("0").rstrip(".")


def data_text(count: float) -> str:
    """Bytes with k6's units, powers of ten."""
    for below, size, unit in ((1e3, 1.0, "B"), (1e6, 1e3, "kB"), (1e9, 1e6, "MB")):
        if count < below:
            return f"{_short(count / size)} {unit}"
    return f"{_short(count / 1e9)} GB"


def summary_lines(metrics: Figures, told: Sequence[ThresholdOutcome], marks: Marks) -> list[str]:
    """The whole summary, a line each. `metrics` holds tagged parts too, under their keys."""
    lines = []
    if told:
        lines += ["  THRESHOLDS", ""]
        for metric in dict.fromkeys(one.metric for one in told):
            lines.append(f"    {metric}")
            lines += [f"    {_threshold(one, marks)}" for one in told if one.metric == metric]
            lines.append("")
    lines += ["  TOTAL RESULTS", ""]
    for title, names in _GROUPS.items():
        shown = [line for name in names for line in _metric(name, metrics, marks)]
        lines += [f"    {title}", *shown, ""] if shown else []
    return lines


def _threshold(one: ThresholdOutcome, marks: Marks) -> str:
    text = f"{marks.of(one.kept)} '{one.threshold.text}'"
    statistic = one.threshold.statistic
    if one.figures is not None and statistic in one.figures:
        text += f" {statistic}={_figure(one.metric, statistic, one.figures, marks)}"
    return f"{text} ({one.why})" if one.why else text


def _figure(key: str, statistic: str, figures: Mapping[str, float], marks: Marks) -> str:
    kind, value = parse_key(key).kind, figures[statistic]
    if kind == "trend":
        least = marks.at_least if thresholds.at_least(statistic, figures) else ""
        return least + time_text(value, marks)
    if kind == "rate":
        return f"{value:.2%}"
    return f"{value:.6g}/s" if statistic == "rate" else f"{value:.10g}"


def _metric(name: str, metrics: Figures, marks: Marks) -> list[str]:
    """The line of a metric, and below it those of its tagged parts."""
    lines = []
    if name in metrics:
        lines.append(f"    {name:.<{_WIDTH}}: {_values(name, metrics[name], marks)}")
        if name in _ABOUT:
            lines[-1] += f"  ({_ABOUT[name]})"
    for key, figures in metrics.items():
        asked = parse_key(key)
        if asked.metric == name and asked.tags:
            tags = ",".join(f"{tag}:{value}" for tag, value in asked.tags.items())
            title = f"  {{ {tags} }}"
            lines.append(f"    {title:.<{_WIDTH}}: {_values(key, figures, marks)}")
    return lines


def _values(key: str, figures: Mapping[str, float], marks: Marks) -> str:
    asked = parse_key(key)
    if asked.kind == "trend":
        shown = [name for name in TREND_STATS if name in figures]
        return " ".join(f"{name}={_figure(key, name, figures, marks)}" for name in shown)
    if asked.kind == "rate":
        total = figures["passes"] + figures["fails"]
        return f"{figures['rate']:.2%} {figures['passes']:.0f} out of {total:.0f}"
    if asked.kind == "gauge":
        return f"{figures['value']:.0f} min={figures['min']:.0f} max={figures['max']:.0f}"
    if asked.metric.startswith("data_"):
        return f"{data_text(figures['count'])} {data_text(figures['rate'])}/s"
    return f"{figures['count']:.0f} {figures['rate']:.6g}/s"
