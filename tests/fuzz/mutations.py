"""Changing a good file a little: its bytes, its words, or the values that it holds."""

import copy
import json
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import yaml

NUMBERS: Final[Sequence[Any]] = (
    *(0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**18, 10**30, 10**400),
    *(0.5, -0.0, 1e-300, 1e300, float("inf"), float("nan"), True, False),
)
TEXTS: Final[Sequence[str]] = (
    *("", " ", "0", "-1", "1e999", "inf", "NaN", "null", "true", "~", "2026-11-28", "1:30"),
    *("0s", "1s", "168h", "99999h", "1e9s", "0/s", "1000000000/s", "1/ms", "9" * 400),
    *("{user}", "{{", "{", "}", "{x}", "{env: A}", "../../etc/passwd", "/", "a/b", "//h/x", "@h"),
    *("http://", "http://[::1", "http://h:99999/", "http://a:b@h/", "https://é/", "redis://h"),
    *("x{a=~'('}", "rate(x[5s]) > 1", "((((", "x" * 5000, "\x00", "\x1b[2J", "\ud800", "\u202e"),
    *("p(95)<200", "rate<", "count>" + "9" * 30, "http_reqs{scenario:x}", "***", "é" * 40, "٣"),
    *("- x", "a: b", "*a", "&a", "!!python/object:x", "<<", "---", "```", "```yaml step", "\ufeff"),
)
SHAPES: Final[Sequence[Any]] = ([], {}, [[]], {"": None}, [None], {"a": {"b": []}}, [1, "x", {}])
BYTES: Final[Sequence[bytes]] = (
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r\n", b"\t", b" ", b"\x0c", b"\xe2\x80\xa8"),
    *(b"{", b"}", b"[", b"]", b'"', b"'", b":", b",", b"#", b"-", b"`", b"\\", b"%", b"|", b">"),
)
_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the other is slow where it is deep
_MOST: Final = 3000
Change = Callable[[random.Random, bytes], bytes]


def hostile(draw: random.Random) -> Any:
    """A value that hardly anybody expects."""
    kind = draw.randrange(6)
    if kind < 2:
        return draw.choice(NUMBERS)
    if kind < 4:
        return draw.choice(TEXTS)
    if kind == 4:
        return copy.deepcopy(draw.choice(SHAPES))
    value: Any = draw.choice(TEXTS)
    for _ in range(draw.choice((3, 45, 60, 400))):
        value = [value] if draw.random() < 0.5 else {"a": value}
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a tree: the list or mapping, and the index or key in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def changed(draw: random.Random, tree: Any) -> Any:
    """The tree with one to four of its values replaced, removed, renamed or repeated."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.choice((1, 1, 2, 4))):
        places = list(islice(_places(tree), _MOST)) if isinstance(tree, dict | list) else []
        if not places:
            return hostile(draw)
        if len(places) == _MOST:
            break
        where, key = draw.choice(places)
        _change(draw, where, key)
    return tree


def _change(draw: random.Random, where: Any, key: Any) -> None:
    match draw.randrange(6):
        case 0 | 1:
            where[key] = hostile(draw)
        case 2:
            del where[key]
        case 3 if isinstance(where, dict):
            where[str(hostile(draw))[:2000]] = where.pop(key)
        case 4 if isinstance(where, list):
            where.extend([where[key]] * draw.choice((1, 5, 300)))
        case 5 if isinstance(where[key], str) and where[key]:
            raw = bytewise(draw, where[key].encode("utf-8", "surrogatepass"))
            where[key] = raw.decode("utf-8", "replace")
        case _:
            where[key] = [where[key]]


def bytewise(draw: random.Random, raw: bytes) -> bytes:
    """The bytes with one to eight of these: flipped, cut, inserted, doubled, moved."""
    for _ in range(draw.choice((1, 1, 2, 8))):
        at, end = sorted(draw.randrange(len(raw) + 1) for _ in range(2))
        end = min(end, at + draw.choice((1, 8, 200)))
        match draw.randrange(6):
            case 0 if at < len(raw):
                raw = raw[:at] + bytes([raw[at] ^ 1 << draw.randrange(8)]) + raw[at + 1 :]
            case 1:
                raw = raw[:at]
            case 2:
                raw = raw[:at] + draw.choice(BYTES) * draw.choice((1, 1, 3, 1000)) + raw[at:]
            case 3:
                raw = raw[:end] + raw[at:end] * draw.choice((1, 1, 50)) + raw[end:]
            case 4:
                raw = raw[:at] + raw[end:]
            case _:
                word = draw.choice(TEXTS).encode("utf-8", "surrogatepass")
                raw = raw[:at] + word + raw[end:]
    return raw


def of_yaml(draw: random.Random, raw: bytes) -> bytes:
    """A YAML file, changed in its bytes or in its values."""
    if draw.random() < 0.4:
        return bytewise(draw, raw)
    made = changed(draw, yaml.safe_load(raw))
    written = _json(made)
    if b"[" * 20 in written or written.count(b"[") + written.count(b"{") > 300:
        return written  # flow YAML; PyYAML takes long over what is deep
    try:
        style = draw.choice((None, True))
        text = yaml.dump(made, Dumper=_DUMPER, sort_keys=False, default_flow_style=style)
    except (yaml.YAMLError, RecursionError, ValueError):
        text = repr(made)
    return text.encode("utf-8", "surrogatepass")


def of_json(draw: random.Random, raw: bytes) -> bytes:
    """A file of JSON, changed in its bytes or in its values."""
    try:
        tree = json.loads(raw)
        return bytewise(draw, raw) if draw.random() < 0.4 else _json(changed(draw, tree))
    except (ValueError, RecursionError):  # changed already, and no JSON or very deep since
        return bytewise(draw, raw)


def of_lines(draw: random.Random, raw: bytes) -> bytes:
    """A file of JSON lines: lines changed, left out, repeated or in another order."""
    if draw.random() < 0.3:
        return bytewise(draw, raw)
    lines = raw.splitlines(keepends=True)
    for _ in range(draw.choice((1, 1, 3))):
        at = draw.randrange(len(lines)) if lines else 0
        match draw.randrange(4):
            case 0 | 1 if lines:
                lines[at] = of_json(draw, lines[at]).replace(b"\n", b"") + b"\n"
            case 2 if lines:
                lines.insert(draw.randrange(len(lines)), lines[at])
            case _:
                del lines[at : at + 1]
    return b"".join(lines)


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (RecursionError, ValueError):
        return repr(value).encode("utf-8", "surrogatepass")
