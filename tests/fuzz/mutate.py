"""Values and bytes made wrong in the ways that systems and people make them wrong, by seed."""

import gzip
import json
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, -0.0, 2**31, 2**53 + 1, 2**63, -(2**63), 10**30, 10**400),
    *(float("inf"), float("-inf"), float("nan"), 1e300, 5e-324),
    *("", "x", "7", "\ud800", "\0", "\x1b[31m", "é", "null", "9" * 400, "x" * 20_000),
    *([], {}, [[]], [None], [1], {"": None}, {"a": {"b": []}}, ["\ud800"], {"\ud800": 1}),
)
DEEP = 400
_LONGEST_INDENTED = 5_000  # in a deep value the spaces grow as the square: 150 MB, 10 s to draw
_INSERTED = (b"1e999", b"NaN", b"\\ud800", b"[" * 9_999, b"9" * 9_999, b"\0", b"}", b'"')


def odd(draw: Random) -> Any:
    """A value that nobody expects there."""
    if draw.random() < 0.03:
        value: Any = 1
        for _ in range(draw.randrange(DEEP)):
            value = [value] if draw.random() < 0.5 else {"a": value}
        return value
    return _copy(draw.choice(ODD))  # what is put in may be made wrong again


def wrong(draw: Random, value: Any) -> Any:
    """The value with something in it replaced, left out, or there too often."""
    value = _copy(value)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        value = _once(draw, value)
    return value


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(each) for key, each in value.items()}
    return [_copy(each) for each in value] if isinstance(value, list | tuple) else value


def _once(draw: Random, value: Any) -> Any:
    holder: Any = None
    key: Any = None
    at = value
    while isinstance(at, dict | list) and at and (holder is None or draw.random() < 0.8):
        holder, key = at, draw.choice(list(at)) if isinstance(at, dict) else draw.randrange(len(at))
        at = at[key]
    if holder is None:
        return odd(draw)
    match draw.randrange(5):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 0:
            holder.pop(key)
        case 1 if isinstance(holder, dict):
            holder[draw.choice(("x", "", "rows", "\ud800", "t", "schema"))] = odd(draw)
        case 1:
            holder.extend([holder[key]] * draw.choice((1, 3, 300)))
        case 2 if isinstance(at, int | float) and not isinstance(at, bool):
            holder[key] = draw.choice((-at, at + 1, str(at), [at]))
        case _:
            holder[key] = odd(draw)
    return value


def as_json(draw: Random, value: Any) -> bytes:
    """The value as JSON, sometimes as no JSON."""
    indent = draw.choice((None, None, 1))
    try:
        text = json.dumps(value)
        if indent is not None and len(text) < _LONGEST_INDENTED:
            text = json.dumps(value, indent=indent)
    except RecursionError:
        text = "[" * 100_000
    raw = text.encode()
    return spoilt(draw, raw) if draw.random() < 0.3 else raw


def spoilt(draw: Random, raw: bytes) -> bytes:
    """Bytes with something cut, changed, put in, or encoded otherwise."""
    at = draw.randrange(len(raw) + 1)
    insert = draw.choice((draw.randbytes(draw.randrange(1, 9)), *_INSERTED))
    return draw.choice(
        (
            raw[:at],
            raw[:at] + insert + raw[at:],
            raw[:at] + raw[at + draw.randrange(1, 40) :],
            b"\xef\xbb\xbf" + raw,
            raw.decode("utf-8", "replace").encode("utf-16"),
            raw + raw,
            bytes(draw.choices(raw or b" ", k=200)),
        )
    )


def as_http(draw: Random, body: bytes) -> bytes:
    """An answer with that body, framed in one of the ways there are, or in none."""
    headers = [draw.choice(("HTTP/1.1 200 OK",) * 8 + ("HTTP/1.0 200", "HTTP/1.1 500 X", "X", ""))]
    if draw.random() < 0.15:
        packed = gzip.compress(body)
        body = draw.choice((packed, packed, packed[:-5], body, packed + packed))
        headers.append(f"Content-Encoding: {draw.choice(('gzip', 'deflate', 'br', 'gzip, gzip'))}")
    match draw.randrange(6):
        case 0:
            size = draw.randrange(1, 50)
            pieces = [body[n : n + size] for n in range(0, min(len(body), 3_000), size)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces)
            body += draw.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"", b"xyz\r\n", b"0\r\nA: b\r\n\r\n"))
            headers.append("Transfer-Encoding: chunked")
        case 1:
            size_told = draw.choice((0, 1, len(body) + 9, "9" * 30, -1, "x"))
            headers.append(f"Content-Length: {size_told}")
        case 2:
            pass
        case _:
            headers.append(f"Content-Length: {len(body)}")
    if draw.random() < 0.1:
        headers += [draw.choice(("A: b", "A" * 9_000, "A: " + "b" * 90_000, ": x", "A\0: b"))] * 3
    return "\r\n".join(headers).encode() + b"\r\n\r\n" + body
