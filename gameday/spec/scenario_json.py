"""Reading a scenario as an experiment file writes it, dumped or as its model."""

from collections.abc import Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Any

from pydantic import BaseModel

from gameday.core.units import Rate, parse_duration

NS = 1_000_000_000


def as_mapping(spec: Mapping[str, Any] | BaseModel) -> Mapping[str, Any]:
    """The keys of a scenario."""
    return spec.model_dump() if isinstance(spec, BaseModel) else spec


def duration_ns(value: object) -> int:
    """A duration in whole nanoseconds. Raises ValueError."""
    return parse_duration(value) // timedelta(microseconds=1) * 1000


def begin_ns(given: Mapping[str, Any]) -> int:
    """When the scenario begins, from t = 0: `start_ns`, as faults give it, or `startTime`."""
    return int(given["start_ns"]) if "start_ns" in given else duration_ns(given.get("startTime", 0))


def per_s(value: object) -> Fraction:
    """The rate a file writes, exactly: 0.3/s is three tenths. Raises ValueError."""
    rate = Rate.parse(value)
    return Fraction(str(rate.count)) / Fraction(duration_ns(rate.unit), NS)
