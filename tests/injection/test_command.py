"""Commands as faults: run, taken back, looked at; and whose record may have one run."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from gameday.cli import main
from gameday.core.errors import GamedayError, StackError, StuckFaultError, UsageError
from gameday.evidence.provenance import read, vouched
from gameday.injection.context import Direct, InjectionContext, NamedCommands
from gameday.injection.drivers import Drivers
from gameday.injection.heal import Healer
from gameday.injection.heal import heal as heal_run
from gameday.spec.changes import CommandChange
from gameday.spec.commands import FaultCommand, argv_sha256
from gameday.spec.undos import CommandUndo, NoRecordError, Undo
from gameday.spec.undos import read as undo_of
from tests.support.events import event_of
from tests.support.signed import KEY, own_key, signed

RUN = "20261128T200000Z-drop-aaaa"
CHANGE = CommandChange("cut")
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with a key, in a folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    own_key(tmp_path / "state")
    return tmp_path


def shell(text: str) -> list[str]:
    return ["sh", "-c", text]


def site(place: Path, environment: Mapping[str, str] | None = None, **changes: Any) -> Any:
    """The context of a run whose system file has one command, `cut`: it makes a file."""
    command = {
        "run": shell("echo in >> it"),
        "undo": shell("rm -f it; echo out >> undone"),
        "check": shell("test -e it || exit 3"),
        **changes,
    }
    command = {key: value for key, value in command.items() if value is not None}
    file = place / "system.yaml"
    file.write_text(yaml.safe_dump({"name": "own", "commands": {"cut": command}}))
    named = NamedCommands({"cut": FaultCommand.model_validate(command)}, (file,))
    return InjectionContext("r1", None, {}, Direct(commands=named, environment=environment or {}))


async def measured(drivers: Drivers, undo: Undo) -> bool | None:
    """Whether its own check says that it is in."""
    dose = await drivers.dose(undo)
    assert dose is not None
    return dose[0]


async def test_a_command_is_run_seen_and_taken_back_in_the_system_files_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, drivers = site(place), Drivers()
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    undo = await drivers.prepare(CHANGE, where)
    assert not (place / "it").exists()
    await drivers.act(CHANGE, undo, where)
    assert (place / "it").exists()
    assert (await measured(drivers, undo)) is True
    assert (await drivers.look(undo)).gone is False
    await drivers.undo(undo)
    assert (await drivers.look(undo)).gone is True
    assert (await measured(drivers, undo)) is False
    await drivers.undo(undo)  # twice is harmless
    assert not list((place / "state" / "gameday" / "commands").iterdir())


async def test_without_a_check_only_the_undo_that_ended_well_tells(place: Path) -> None:
    where, drivers = site(place, check=None), Drivers()
    undo = await drivers.prepare(CHANGE, where)
    assert (await drivers.look(undo)).gone is None
    await drivers.act(CHANGE, undo, where)
    assert await drivers.dose(undo) is None
    assert (await drivers.look(undo)).gone is False
    assert (await Drivers().look(undo)).gone is None
    await drivers.undo(undo)
    assert (await drivers.look(undo)).gone is True


async def test_what_is_in_already_is_not_begun_and_a_program_that_is_missing_is_told(
    place: Path,
) -> None:
    (place / "it").touch()
    with pytest.raises(StackError, match="before anything was broken"):
        await Drivers().prepare(CHANGE, site(place))
    (place / "it").unlink()
    for failing in (shell("exit 1"), shell("exit 2"), ["grep", "-q", "x", "no-such-file"]):
        with pytest.raises(StackError, match="ended with [12]"):
            await Drivers().prepare(CHANGE, site(place, check=failing))
    for argv in (["no-such-program-at-all"], ["./not-here.sh"]):
        with pytest.raises(UsageError, match="there is no program"):
            await Drivers().prepare(CHANGE, site(place, undo=argv))
    with pytest.raises(UsageError, match="names no command"):
        await Drivers().prepare(CommandChange("other"), site(place))


async def test_a_check_that_fails_to_look_never_says_that_it_is_out(place: Path) -> None:
    looks = "import socket, os; os.path.exists('it') or exit(3); os.path.exists('deaf') and 1 / 0"
    where = site(place, check=[sys.executable, "-c", looks], undo=shell("touch deaf"))
    drivers = Drivers()
    undo = await drivers.prepare(CHANGE, where)
    await drivers.act(CHANGE, undo, where)
    assert (await drivers.look(undo)).gone is False
    await drivers.undo(undo)
    assert (await drivers.look(undo)).gone is None


async def test_a_command_that_fails_says_why_without_secrets(place: Path) -> None:
    secret = "tok-3f9a81c7"
    where = site(
        place,
        {"API_TOKEN": secret},
        run=shell('echo "no way with $API_TOKEN" >&2; exit 4'),
        undo=shell('echo "$API_TOKEN"; exit 5'),
    )
    drivers = Drivers()
    undo = await drivers.prepare(CHANGE, where)
    with pytest.raises(GamedayError, match=r"ended with 4: no way with \*\*\*") as failed:
        await drivers.act(CHANGE, undo, where)
    assert secret not in str(failed.value)
    with pytest.raises(StuckFaultError, match=r"ended with 5: \*\*\*"):
        await drivers.undo(undo, {"API_TOKEN": secret})


async def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(place: Path) -> None:
    late = "trap '' TERM; (trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done) & wait; wait"
    where = site(place, run=shell(late), within="600ms")
    drivers = Drivers()
    undo = await drivers.prepare(CHANGE, where)
    with pytest.raises(GamedayError, match=r"did not end within 0\.6 s"):
        await drivers.act(CHANGE, undo, where)
    pid = int((place / "pid").read_text())
    async with asyncio.timeout(10):
        while is_there(pid):
            await asyncio.sleep(0)


GROUP = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: (open("asked", "w").close(), os._exit(0)))
if not os.fork():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setpgid(0, 0)  # as a shell with job control does
    open("pid.new", "w").write(str(os.getpid()))
    os.rename("pid.new", "pid")
time.sleep(60)
"""


async def test_a_command_that_nobody_waits_for_any_more_is_ended_whole(place: Path) -> None:
    """Politely first, and also what has made a process group of its own."""
    where, drivers = site(place, run=[sys.executable, "-c", GROUP]), Drivers()
    undo = await drivers.prepare(CHANGE, where)
    acting = asyncio.create_task(drivers.act(CHANGE, undo, where))
    async with asyncio.timeout(10):
        while not (place / "pid").exists():
            await asyncio.sleep(0)
    pid = int((place / "pid").read_text())
    try:
        acting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await acting
        assert not is_there(pid)
        assert (place / "asked").exists()
        assert not list((place / "state" / "gameday" / "commands").iterdir())
    finally:
        if is_there(pid):
            os.kill(pid, signal.SIGKILL)


async def test_output_without_an_end_ends_the_command(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gameday.injection.process.run_once.LARGEST_OUTPUT", 100_000)
    where, drivers = site(place, run=shell("yes")), Drivers()
    undo = await drivers.prepare(CHANGE, where)
    with pytest.raises(GamedayError, match="said more than"):
        await drivers.act(CHANGE, undo, where)


async def test_a_server_that_a_command_leaves_in_the_background_stays(place: Path) -> None:
    stays = shell("rm -f it; (echo $$ > pid; while :; do echo hello; sleep 0.1; done) &")
    where, drivers = site(place, undo=stays), Drivers()
    undo = await drivers.prepare(CHANGE, where)
    await drivers.act(CHANGE, undo, where)
    await drivers.undo(undo)
    async with asyncio.timeout(10):
        while not (place / "pid").exists() or not (place / "pid").read_text():
            await asyncio.sleep(0)
    leader = int((place / "pid").read_text())  # of the group; the shell itself has ended
    members = [
        int(each) for each in os.listdir("/proc") if each.isdigit() and group(each) == leader
    ]
    assert members
    for pid in members:
        os.kill(pid, signal.SIGKILL)


def group(pid: str) -> int:
    try:
        return os.getpgid(int(pid))
    except ProcessLookupError:
        return -1


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


async def test_an_act_that_is_still_at_work_is_ended_before_its_undo(place: Path) -> None:
    slow = shell("echo begun > begun; sleep 20; echo in >> it")
    where, drivers = site(place, run=slow), Drivers()
    undo = await drivers.prepare(CHANGE, where)
    acting = asyncio.create_task(drivers.act(CHANGE, undo, where))
    async with asyncio.timeout(10):
        while not (place / "begun").exists():
            await asyncio.sleep(0)
    await Drivers().undo(undo)  # as another process would
    with pytest.raises(GamedayError, match="ended from outside|signal"):
        await acting
    assert not (place / "it").exists()
    assert (place / "undone").exists()


async def test_only_the_argv_that_was_meant_is_run(place: Path) -> None:
    where, drivers = site(place), Drivers()
    undo = await drivers.prepare(CHANGE, where)
    await drivers.act(CHANGE, undo, where)
    file = place / "system.yaml"
    meant = file.read_text()
    for other in ("", "commands: 7\n", "commands: {cut: {undo: [sh, -c, 'echo evil > evil']}}\n"):
        file.write_text(other)
        with pytest.raises(StuckFaultError, match="no file has the one that was meant"):
            await drivers.undo(undo)
    assert (place / "it").exists()
    assert not (place / "evil").exists()
    copy = place / "copy.yaml"
    copy.write_text(meant)
    assert isinstance(undo, CommandUndo)
    with_copy = undo_of({**undo.as_json(), "files": [str(file), str(copy)]})
    await drivers.undo(with_copy)
    assert not (place / "it").exists()


def test_a_forged_record_is_none_of_ours(place: Path) -> None:
    whole = {
        "kind": "command",
        "name": "cut",
        "sha256": "0" * 64,
        "files": [str(place / "system.yaml")],
        "folder": str(place),
        "within_s": 5.0,
    }
    assert isinstance(undo_of(whole), CommandUndo)
    for key, value in (
        ("sha256", "0" * 63),
        ("sha256", "sh -c reboot"),
        ("files", []),
        ("files", ["system.yaml"]),
        ("folder", "../.."),
        ("within_s", 1e9),
        ("within_s", float("nan")),
        ("name", ""),
    ):
        with pytest.raises(NoRecordError):
            undo_of({**whole, key: value})


def killed(place: Path, undo: CommandUndo, key: Any = KEY) -> Path:
    """A run that was killed with the command in."""
    run = place / "runs" / RUN
    run.mkdir(parents=True)
    book = signed(run / "journal.jsonl")
    book.key = key
    book.write(event_of("run.started", run=RUN, controller=None, allowed=[]))
    told = {"id": "f1", "fault": "command.run", "target": "cut", "changes": []}
    book.write(event_of("fault.injecting", **told, undo=[undo.as_json()]))
    book.close()
    return run


def heal(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["heal", *arguments])


async def in_by(place: Path, **changes: Any) -> CommandUndo:
    where, drivers = site(place, **changes), Drivers()
    undo = await drivers.prepare(CHANGE, where)
    await drivers.act(CHANGE, undo, where)
    assert isinstance(undo, CommandUndo)
    return undo


@pytest.mark.parametrize("check", [True, False])
def test_heal_runs_the_undo_of_ones_own_run(place: Path, check: bool) -> None:
    killed(place, asyncio.run(in_by(place, **({} if check else {"check": None}))))
    done = heal()
    assert done.exit_code == 0, done.output
    assert not (place / "it").exists()


def test_heal_runs_no_undo_that_the_file_no_longer_says(place: Path) -> None:
    killed(place, asyncio.run(in_by(place)))
    file = place / "system.yaml"
    file.write_text(file.read_text().replace("rm -f it", "rm -f it # another"))
    done = heal()
    assert done.exit_code == 6
    assert (place / "it").exists()
    assert not (place / "undone").exists()


def test_nobody_vouches_for_a_command(place: Path) -> None:
    from gameday.core.secrets.signing import KEY_BYTES, SigningKey

    run = killed(place, asyncio.run(in_by(place)), SigningKey(b"o" * KEY_BYTES))
    for done in (heal(), heal("--trust", RUN)):
        assert done.exit_code == 6, done.output
        assert (place / "it").exists()
        assert not (place / "undone").exists()
    assert "not done: it is a" in " ".join(heal("--trust", RUN).output.split())
    for evidence in (vouched(run), read(run, KEY)):
        asyncio.run(heal_run(evidence, Healer({}, KEY)))  # whose caller does not say that it may
        assert (place / "it").exists()


def test_a_sum_tells_arguments_apart() -> None:
    sums = {argv_sha256(argv) for argv in (["a b"], ["a", "b"], ["a", "b", ""], ['a", "b'], ["ä"])}
    assert len(sums) == 5
    assert all(len(each) == 64 for each in sums)


@pytest.mark.parametrize(
    "command",
    [
        {"run": "docker kill x", "undo": ["true"]},
        {"run": [], "undo": ["true"]},
        {"run": [" "], "undo": ["true"]},
        {"run": ["a\0b"], "undo": ["true"]},
        {"run": ["true"]},
        {"run": ["true"], "undo": ["true"], "within": "2m"},
        {"run": ["true"], "undo": ["true"], "within": 0},
        {"run": ["x" * 9000], "undo": ["true"]},
        {"run": ["true", 7], "undo": ["true"]},
        {"run": ["true"], "undo": ["true"], "shell": True},
    ],
)
def test_a_command_that_makes_no_sense_is_refused(command: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        FaultCommand.model_validate(command)


def test_the_plan_shows_an_argv_that_no_terminal_obeys() -> None:
    change = CommandChange("cut", run=("echo", "\x1b[31m\u202e"), undo=("true",))
    assert "\x1b" not in str(change.message())
    assert "\u202e" not in str(change.message())
    assert json.loads(str(change.message()).partition(": ")[2])[1] == "\x1b[31m\u202e"
