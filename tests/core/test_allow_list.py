"""Which host may be used: one form for all its spellings, looked up once, refused with its cure."""

from collections.abc import Sequence

import pytest

from gameday.core.network.allow_list import (
    Allowed,
    NoAddressError,
    RefusedError,
    host_of,
    is_this_machine,
    refusal,
)

AWAY = "203.0.113.7"


class Table:
    """A resolver of one's own, which counts how often it is asked; its answers come in turns."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {name: list(each) for name, each in answers.items()}
        self.asked = 0

    def __call__(self, name: str) -> Sequence[str]:
        self.asked += 1
        answers = self._answers.get(name)
        if not answers:
            raise OSError(-2, "Name or service not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.mark.parametrize(
    ("text", "host"),
    {
        "localhost": "localhost",
        "LOCALHOST.": "localhost",
        "[::1]": "::1",
        "0:0:0:0:0:0:0:1": "::1",
        "2130706433": "127.0.0.1",
        "0177.0.0.1": "127.0.0.1",
        "0x7f.1": "127.0.0.1",
        "127.1": "127.0.0.1",
        "１２７.0.0.1": "127.0.0.1",
        "bücher.example": "xn--bcher-kva.example",
        "my_service": "my_service",
    }.items(),
)
def test_a_host_has_one_form(text: str, host: str) -> None:
    assert host_of(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a b",
        "a/b",
        "a@b",
        "a\0b",
        "a\\b",
        "1.2.3.4.5",
        "a.256",
        "http://a",
        "a" * 300,
        "[:",
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(NoAddressError):
        host_of(text)


@pytest.mark.parametrize(
    "ip", ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"]
)
def test_this_machine_may_always_be_used(ip: str) -> None:
    assert is_this_machine(ip)
    assert is_this_machine(Allowed().check(ip)[0])


@pytest.mark.parametrize("ip", [AWAY, "10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "169.254.169.254"])
def test_another_host_is_refused_with_its_cure(ip: str) -> None:
    with pytest.raises(RefusedError, match="is not this machine") as refused:
        Allowed().check(ip, "base_url")
    assert refused.value.message.startswith("base_url: ")
    assert refused.value.help.endswith(f"--allow-target {host_of(ip)}")


def test_a_name_is_looked_up_once_and_a_second_answer_is_never_asked_for() -> None:
    table = Table(rebound=[["127.0.0.1"], [AWAY]])
    allowed = Allowed(lookup=table)
    assert allowed.check("rebound") == allowed.check("REBOUND.") == ("127.0.0.1",)
    assert table.asked == 1


def test_a_name_with_one_address_elsewhere_is_refused() -> None:
    with pytest.raises(RefusedError, match=rf"half \({AWAY}\) is not this machine"):
        Allowed(lookup=Table(half=[["127.0.0.1", AWAY]])).check("half")


def test_a_name_is_allowed_by_itself_or_by_all_its_addresses() -> None:
    lookup = Table(staging=[[AWAY]], other=[[AWAY, "10.0.0.1"]])
    assert Allowed(["Staging."], lookup=lookup).check("staging") == (AWAY,)
    assert Allowed([AWAY], lookup=lookup).check("staging") == (AWAY,)
    with pytest.raises(RefusedError):
        Allowed([AWAY], lookup=lookup).check("other")


def test_an_address_of_an_allowed_name_is_allowed_once_it_was_found() -> None:
    allowed = Allowed(["staging"], lookup=Table(staging=[[AWAY]]))
    with pytest.raises(RefusedError):
        allowed.check(AWAY)
    allowed.check("staging")
    assert allowed.check(AWAY) == (AWAY,)


def test_a_failed_look_up_is_not_kept() -> None:
    table = Table()
    allowed = Allowed(lookup=table)
    for _ in range(2):
        with pytest.raises(NoAddressError, match="gone has no address"):
            allowed.check("gone")
    assert table.asked == 2


def test_another_process_goes_where_this_one_would() -> None:
    allowed = Allowed(["staging"], lookup=Table(staging=[[AWAY]], here=[["::1"]]))
    allowed.check("staging")
    allowed.check("here")
    other = Allowed.of(allowed.reach())
    assert (other.check("staging"), other.check("here"), other.check(AWAY)) == (
        (AWAY,),
        ("::1",),
        (AWAY,),
    )


@pytest.mark.parametrize("entry", ["", "http://staging", "staging:80", "a b", "user@staging"])
def test_an_entry_of_the_allow_list_is_a_host(entry: str) -> None:
    with pytest.raises(NoAddressError):
        Allowed([entry])


def test_a_refusal_is_found_behind_the_errors_of_libraries() -> None:
    inner = RefusedError.at("a", AWAY)
    try:
        try:
            raise ExceptionGroup("several", [OSError("x"), inner])
        except ExceptionGroup as group:
            raise ValueError("wrapped") from group
    except ValueError as error:
        assert refusal(error) is inner
    assert refusal(ValueError("other")) is None
