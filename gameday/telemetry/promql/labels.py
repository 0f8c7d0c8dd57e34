"""Label sets: what names one time series, and what alerts are told apart by.

A label set is a sorted tuple of (name, value) pairs, the metric's name among them under
`__name__`. As in Prometheus, a label with an empty value is the same as no label.
"""

from collections.abc import Iterable, Mapping

Labels = tuple[tuple[str, str], ...]

NAME = "__name__"
EMPTY: Labels = ()


def label_set(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels:
    """The label set of these pairs; empty values are left out, the last of a name wins."""
    return tuple(sorted((k, v) for k, v in dict(pairs).items() if v))


def labels(name: str = "", /, **pairs: str) -> Labels:
    """`labels("up", job="x")` is the series `up{job="x"}`."""
    return label_set({NAME: name, **pairs})


def value_of(series: Labels, name: str) -> str:
    """The value of one label, "" where the set has none."""
    for key, value in series:
        if key == name:
            return value
    return ""


def keep(series: Labels, names: Iterable[str]) -> Labels:
    """Only the labels named."""
    return tuple([pair for pair in series if pair[0] in names])


def drop(series: Labels, names: Iterable[str]) -> Labels:
    """Every label but those named."""
    return tuple([pair for pair in series if pair[0] not in names])


def nameless(series: Labels) -> Labels:
    """The set without the metric's name."""
    return tuple([pair for pair in series if pair[0] != NAME])


def show(series: Labels) -> str:
    """The set as PromQL writes it: `up{job="x"}`."""
    rest = ", ".join(f'{k}="{v}"' for k, v in series if k != NAME)
    name = value_of(series, NAME)
    return f"{name}{{{rest}}}" if rest or not name else name
