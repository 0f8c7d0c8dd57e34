"""The manual page: everything that the help says, in a form that man pages are checked by."""

import shutil
import subprocess

import pytest
from click.testing import CliRunner, Result

from gameday.cli import COMMANDS, main
from gameday.cli.manual import page
from gameday.core.settings.notify import VARIABLES


def gameday(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, words, env=environment)


@pytest.fixture(scope="module")
def manual() -> str:
    done = gameday("help", "--man", SOURCE_DATE_EPOCH="1795422600")
    assert done.exit_code == 0
    return done.stdout


def test_every_command_variable_and_exit_code_is_there(manual: str) -> None:
    assert manual.startswith('.TH GAMEDAY 1 "2026-11-23"')
    for name in COMMANDS:
        assert '.SS "gameday ' + name.replace("-", "\\-") in manual
    assert '.SS "gameday drill live' in manual
    assert all(f"\\fB{name}\\fR" in manual for name in [*VARIABLES, "GAMEDAY_RUNS"])
    assert "\\fB70\\fR\na bug in gameday" in manual
    assert "\\-\\-responder\\-delay" in manual


def test_it_is_ascii_and_the_same_bytes_on_the_same_day(manual: str) -> None:
    assert manual.isascii()
    assert manual == gameday("help", "--man", SOURCE_DATE_EPOCH="1795422600").stdout


@pytest.mark.parametrize("command", [("groff", "-man", "-ww", "-Tutf8", "-z")])
def test_groff_has_nothing_to_say(command: tuple[str, ...], manual: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip("there is no groff here")
    ran = subprocess.run(command, input=manual, capture_output=True, text=True, check=True)
    assert ran.stderr == ""


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="there is no mandoc here")
def test_mandoc_has_nothing_to_say(manual: str) -> None:
    command = ["mandoc", "-T", "lint", "-W", "style"]
    ran = subprocess.run(command, input=manual, capture_output=True, text=True, check=False)
    assert ran.stdout + ran.stderr == ""


def test_what_roff_would_obey_is_shown() -> None:
    import click

    command = click.Group("gameday", help=".so /etc/passwd\n\n'quoted' \\fBbold \"x\" 가 ^`")
    lines = [*page(click.Context(command, info_name="gameday"))]
    assert "\\&.so /etc/passwd" in lines
    assert "\\(aqquoted\\(aq \\efBbold \\(dqx\\(dq \\[uAC00] \\(ha\\(ga" in lines


def test_the_help_of_a_command_by_its_words() -> None:
    assert "Hold a drill of EXPERIMENT" in gameday("help", "drill", "live").stdout
    assert gameday("help", "run").stdout == gameday("run", "--help").stdout
    for words in (("nosuch",), ("run", "x"), ("drill", "nosuch")):
        assert gameday("help", *words).exit_code == 2
    assert gameday("help", "--man", SOURCE_DATE_EPOCH="soon").exit_code == 2
