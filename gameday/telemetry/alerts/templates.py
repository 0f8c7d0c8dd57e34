"""The templates of labels and annotations, in the small part of Go's language that rules use.

`{{ $value }}`, `{{ $labels }}` and `{{ $labels.x }}`, the value also through `humanize`,
`humanizePercentage`, `humanizeDuration` or `printf "%.2f"`. Anything else stays as it is written;
`unknown` names it, so that loading a file can report it. A width or a precision has two digits at
most: nobody means more, and a billion would be a gigabyte of zeros.
"""

import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal

from gameday.telemetry.promql.labels import Labels, value_of

_VALUE = r"(?:\$value|\.Value)"
_PLAIN = re.compile(rf"{_VALUE}|(?P<all>\$labels|\.Labels)(?:\.(?P<label>\w+))?")
_PIPED = re.compile(rf"{_VALUE}\s*\|\s*(?P<function>\w+)|(?P<called>\w+)\s+{_VALUE}")
_VERB = r"%[0-9]{0,2}(?:\.[0-9]{0,2})?[feg]"
_PRINTF = re.compile(
    rf'printf\s+"(?P<format>[^"%]*{_VERB}(?:%%|[^"%])*)"\s+{_VALUE}'
    rf'|{_VALUE}\s*\|\s*printf\s+"(?P<piped>[^"%]*{_VERB}(?:%%|[^"%])*)"'
)


def expand(text: str, labels: Labels, value: float) -> str:
    """The text with every known template replaced."""
    parts, at = [], 0
    for begin, end, action in _actions(text):
        as_is = text[begin:end]
        parts += [text[at:begin], _expand(action, labels, value, as_is=as_is)]
        at = end
    return "".join([*parts, text[at:]])


def unknown(text: str) -> list[str]:
    """The templates of a text that `expand` leaves as they are."""
    return [text[begin:end] for begin, end, action in _actions(text) if not _is_known(action)]


def _actions(text: str) -> Iterator[tuple[int, int, str]]:
    """Begin, end and content of each `{{…}}`."""
    end = 0
    while (begin := text.find("{{", end)) >= 0 and (closing := text.find("}}", begin + 2)) >= 0:
        end = closing + 2
        inside = text[begin + 2 : closing].removeprefix("-").strip()
        yield begin, end, inside.removesuffix("-").rstrip()


def _is_known(action: str) -> bool:
    piped = _PIPED.fullmatch(action)
    if piped is not None and (piped["function"] or piped["called"]) in _HUMAN:
        return True
    return bool(_PLAIN.fullmatch(action) or _PRINTF.fullmatch(action))


def _expand(action: str, labels: Labels, value: float, *, as_is: str) -> str:
    plain, printf = _PLAIN.fullmatch(action), _PRINTF.fullmatch(action)
    if plain is not None:
        if plain["label"]:
            return value_of(labels, plain["label"])
        return _go_map(labels) if plain["all"] else go_number(value)
    if printf is not None:
        return str((printf["format"] or printf["piped"]) % value)
    piped = _PIPED.fullmatch(action)
    human = _HUMAN.get(piped["function"] or piped["called"]) if piped is not None else None
    return as_is if human is None else human(value)


def _go_map(labels: Labels) -> str:
    """The labels as Go prints a map."""
    return f"map[{' '.join(f'{name}:{value}' for name, value in labels)}]"


def go_number(value: float) -> str:
    """A number as Go prints it: the shortest exact text, with an exponent from 1e6 on."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, digits, shift = Decimal(repr(value)).normalize().as_tuple()
    exponent = len(digits) - 1 + int(shift)
    if -5 < exponent < 6:
        return format(Decimal((sign, digits, int(shift))), "f")
    mantissa = "".join(map(str, digits))
    fraction = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    return f"{'-' if sign else ''}{mantissa[0]}{fraction}e{exponent:+03d}"


def humanize(value: float) -> str:
    """Four digits and an SI prefix."""
    if value == 0 or not math.isfinite(value):
        return _four(value)
    large = abs(value) >= 1
    prefix = ""
    for prefix in ("", *("kMGTPEZY" if large else "munpfazy")):
        if (abs(value) < 1000) if large else (abs(value) >= 1):
            break
        value = value / 1000 if large else value * 1000
    return _four(value) + prefix


def humanize_percentage(value: float) -> str:
    """A ratio as a percentage of four digits."""
    return f"{_four(value * 100)}%"


def humanize_duration(value: float) -> str:
    """Seconds as days, hours, minutes and seconds."""
    if not math.isfinite(value):
        return _four(value)
    if abs(value) < 1:
        text = humanize(value)
        return f"{text}s"
    if abs(value) < 60:
        return f"{_four(value)}s"
    minutes, seconds = divmod(int(abs(value)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    first = next(i for i, (count, _) in enumerate(parts) if count)
    sign = "-" if value < 0 else ""
    return sign + " ".join(f"{count}{unit}" for count, unit in parts[first:])


def _four(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else go_number(value)


_HUMAN: dict[str, Callable[[float], str]] = {
    "humanize": humanize,
    "humanizePercentage": humanize_percentage,
    "humanizeDuration": humanize_duration,
}
