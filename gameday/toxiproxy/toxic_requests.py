"""A toxic as clients write it: defaults, the order in which mistakes are named, ranges.

Toxiproxy accepts values that later kill it (a negative rate, a negative slice); here they are
refused. An update is done whole or not at all.
"""

from collections.abc import Mapping
from typing import Any

from gameday.toxiproxy.errors import ApiError, bad_body
from gameday.toxiproxy.go_json import read_fields
from gameday.toxiproxy.proxy import STREAMS, Proxy
from gameday.toxiproxy.toxics import TYPES
from gameday.toxiproxy.toxics.stage import Toxic

TOXICS_MAX = 256  # each is a stage on every connection; nobody sets more than a few
NAME_CHARACTERS_MAX = 1024  # names are short; bounds memory
_FIELDS = {"name": "string", "type": "string", "stream": "string", "toxicity": "number"}


def create(proxy: Proxy, value: Any) -> Toxic:
    """Add the toxic that a body describes. Raises ApiError 400 or 409."""
    fields = read_fields(value, _FIELDS)
    stream = fields.get("stream", "downstream")
    type_ = fields.get("type", "")
    name = fields.get("name") or f"{type_}_{stream}"
    if stream.lower() not in STREAMS:
        raise ApiError(400, "stream was invalid, can be either upstream or downstream")
    if type_ not in TYPES:
        raise ApiError(400, "invalid toxic type")
    if any(toxic.name == name for toxic in proxy.toxics):
        raise ApiError(409, "toxic already exists")
    if len(proxy.toxics) >= TOXICS_MAX:
        raise ApiError(400, f"more than {TOXICS_MAX} toxics")
    if len(name) > NAME_CHARACTERS_MAX:
        raise bad_body(f"name: more than {NAME_CHARACTERS_MAX} characters")
    none = dict.fromkeys(TYPES[type_].fields, 0)
    attributes = _merged(type_, none, _attributes(value))
    toxic = Toxic(name, type_, stream, fields.get("toxicity", 1), attributes)
    proxy.add_toxic(toxic)
    return toxic


def update(proxy: Proxy, toxic: Toxic, value: Any) -> None:
    """Take over toxicity and attributes, key by key. Raises ApiError 400, changing nothing."""
    fields = read_fields(value, {"toxicity": "number"})
    attributes = _merged(toxic.type, toxic.attributes, _attributes(value))
    proxy.update_toxic(toxic, fields.get("toxicity", toxic.toxicity), attributes)


def _attributes(value: Any) -> Any:
    return read_fields(value, {"attributes": "object"}).get("attributes")


def _merged(type_: str, old: Mapping[str, int], given: Any) -> dict[str, int]:
    ranges = TYPES[type_].fields
    new = read_fields(given, dict.fromkeys(ranges, "integer"))
    for name, value in new.items():
        lowest, highest = ranges[name]
        if not lowest <= value <= highest:
            raise bad_body(f"{name}: {value} is not between {lowest} and {highest}")
    return {name: new.get(name, old[name]) for name in ranges}
