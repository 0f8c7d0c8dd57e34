"""Credentials in addresses: found where they are, and told nowhere."""

import time

import pytest

from gameday.core.network.credentials import address_shown, has_credentials, without_credentials


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("http://a:b@h/", True),
        ("HTTPS://token@h", True),
        ("see redis://:b@h/0 there", True),
        ("http://h/@me", False),
        ("a@b", False),
        ("://@", False),
        ("http://h/?mail=a@b", False),
    ],
)
def test_credentials_are_what_stands_before_the_host(text: str, *, has: bool) -> None:
    assert has_credentials(text) is has
    assert (without_credentials(text) != text) is has


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://a:b@h/x", "http://h/x"),
        ("http://a:b/c@h/x", "http://h/x"),
        ("a:b@h/x", "h/x"),
        ("http://h/x", "http://h/x"),
    ],
)
def test_an_address_is_shown_without_them_however_it_is_misspelt(text: str, shown: str) -> None:
    assert address_shown(text) == shown


@pytest.mark.parametrize("part", ["a", "a:", "a://", "://", "@", "//@"])
def test_looking_takes_time_in_proportion_to_the_text(part: str) -> None:
    begun_s = time.process_time()
    has_credentials(part * 300_000)
    without_credentials(part * 300_000)
    assert time.process_time() - begun_s < 2
