"""What a system file's `start` asks for, and where its addresses move."""

import pytest

from gameday.core.errors import UsageError
from gameday.spec.start import Start
from gameday.spec.system import System
from gameday.stacks.placeholders import asked_for, readdress, render, stores_of
from gameday.stacks.stack import Addresses
from tests.support.stack_parts import document_of


def start(argv: list[str], **env: str) -> Start:
    return Start(argv=argv, env=env)


def test_only_the_stores_that_are_named_are_needed() -> None:
    asked = asked_for(start(["x", "--port={port}"], A="{redis_direct}"))
    assert asked == {"port", "redis_direct"}
    assert stores_of(asked) == ("redis",)


@pytest.mark.parametrize("text", ["{host}", "{", "a}b", "{}", "{redis-direct}"])
def test_what_is_no_placeholder_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="is no placeholder"):
        asked_for(start(["x"], A=text))


def test_a_password_is_not_put_where_everybody_reads_it() -> None:
    with pytest.raises(UsageError, match="would show a password"):
        asked_for(start(["x", "{redis}"]))


def test_double_braces_are_braces() -> None:
    text = '{{"url": "{redis}"}}'
    assert asked_for(start(["x"], A=text)) == {"redis"}
    assert render(text, {"redis": "redis://x"}) == '{"url": "redis://x"}'


def test_origins_move_to_the_ports_of_the_started_service() -> None:
    document = {
        **document_of(),
        "base_url": "http://127.0.0.1:8080/shop",
        "admin_url": "http://127.0.0.1:9102",
        "metrics": [
            "http://127.0.0.1:9102/metrics",
            "http://127.0.0.1:8080/m",
            "http://127.0.0.1:7777/other",
        ],
        "prometheus": "http://127.0.0.1:9090",
        "proxies": {"redis": "cache"},
    }
    system = System.model_validate(document)

    moved = readdress(system, Addresses(1111, 2222, "http://127.0.0.1:3", {"redis": "cache"}))

    assert moved.base_url == "http://127.0.0.1:1111/shop"
    assert moved.admin_url == "http://127.0.0.1:2222"
    assert moved.metrics == [
        "http://127.0.0.1:2222/metrics",
        "http://127.0.0.1:1111/m",
        "http://127.0.0.1:7777/other",
    ]
    assert (moved.toxiproxy, moved.prometheus) == ("http://127.0.0.1:3", None)


def test_a_service_that_chooses_its_port_keeps_its_address() -> None:
    system = System.model_validate(document_of())
    assert readdress(system, Addresses(None, None, None, {})).base_url == system.base_url
