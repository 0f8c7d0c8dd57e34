"""Parts that die, hang or flood, and files that are none: what waits for them comes to an end."""

import asyncio
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil

from gameday.core import files
from gameday.core.clock import SystemClock
from gameday.core.errors import FileError, GamedayError, StackError, UsageError
from gameday.core.files.private import state_dir
from gameday.core.json_objects import plain
from gameday.core.network.event_loop import run as run_loop
from gameday.core.processes.deadlines import cancelled, in_time
from gameday.core.processes.threads import Threads
from gameday.evidence import journal, provenance
from gameday.evidence.read import read as read_evidence
from gameday.injection.drivers.request import secret
from gameday.judge.judge import judge
from gameday.report.inputs import read_material
from gameday.report.postmortem import unedited
from gameday.run import context, hold, locks
from gameday.run.children import Child
from gameday.run.reaper_client import Reaper
from gameday.run.teardown import _bounded
from gameday.spec.inputs import load_inputs
from gameday.spec.request import FromFile
from gameday.spec.tls import Tls
from gameday.spec.yaml import read_bytes
from gameday.stacks.state import read_kept, stack_file
from gameday.telemetry import samples
from gameday.telemetry.collector.evaluation import few_enough
from gameday.telemetry.collector.text_format import ExpositionError, Reader
from gameday.telemetry.samples import AlertLine
from gameday.toxiproxy import config
from gameday.traffic import vitals
from gameday.traffic.capacity import calibration
from gameday.traffic.history import HistoryTail
from gameday.traffic.worker.messages import event_in
from tests.attacks.place import Place
from tests.attacks.registry import attack
from tests.run.test_leave import hanging, reaped, until
from tests.support.events import event_of
from tests.support.hanging_controller import FAULT
from tests.support.rundirs import RunDir
from tests.support.signed import KEY

CLOCK = SystemClock()
ROOT = Path(__file__).parents[2]
AT_ONCE_S = 20.0  # on a machine that has much else to do


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _fifo_with_a_writer(path: Path) -> None:
    """Somebody writes to it without an end."""
    os.mkfifo(path)
    os.open(path, os.O_RDWR)


def _folder(path: Path) -> None:
    path.mkdir()


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))


def _linked(where: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(where)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


NO_FILES: dict[str, Callable[[Path], None]] = {
    "fifo": _fifo,
    "fifo-with-a-writer": _fifo_with_a_writer,
    "folder": _folder,
    "socket": _socket,
    "zero": _linked("/dev/zero"),
    "full": _linked("/dev/full"),
    "random": _linked("/dev/urandom"),
    "stdin": _linked("/proc/self/fd/0"),
    "memory": _linked("/proc/self/mem"),
    "loop": _loop,
    "huge": _huge,
}


def _made(place: Place, kind: str, name: str) -> Path:
    """What is no file, under that name; standard input is a pipe that nobody writes to."""
    os.chdir(place.folder)
    path = place.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    NO_FILES[kind](path)
    os.dup2(os.pipe()[0], 0)
    return path


def _soon(work: Callable[[], Any]) -> Any:
    """What it returns or raises, within seconds."""
    begun_s = time.monotonic()
    try:
        return work()
    finally:
        assert time.monotonic() - begun_s < AT_ONCE_S


def _is_refused(work: Callable[[], Any], *kinds: type[BaseException]) -> str:
    wanted = kinds or (GamedayError,)
    try:
        _soon(work)
    except wanted as error:
        return str(error)
    raise AssertionError("it was taken for a file")


KINDS = {kind: kind for kind in NO_FILES}


@attack("endings", KINDS)
def a_file_that_somebody_names(place: Place, kind: str) -> None:
    path = _made(place, kind, "named")
    assert str(path) in _is_refused(lambda: files.read(path, files.MIB, "it"), UsageError)


@attack("endings", KINDS)
def a_secret_file(place: Place, kind: str) -> None:
    path = _made(place, kind, "secret")
    said = _is_refused(lambda: secret(FromFile(file=str(path)), {}), UsageError)
    assert "secret file" in said
    assert str(path) in said


@attack(
    "endings",
    {name: name for name in ("/dev/stdin", "/proc/self/fd/0", "/dev/fd/0", "/proc/1/fd/0")},
)
def a_secret_in_what_only_one_process_has(place: Place, name: str) -> None:
    """It may even be a regular file: the reaper would not find the same there."""
    with place.write("real", "a secret").open("rb") as file:
        os.dup2(file.fileno(), 0)
    assert name in _is_refused(lambda: secret(FromFile(file=name), {}), UsageError)


@attack("endings", KINDS)
def a_file_of_authorities(place: Place, kind: str) -> None:
    path = _made(place, kind, "ca.pem")
    _is_refused(lambda: Tls(ca=str(path)).context(), UsageError)


@attack("endings", KINDS)
def a_yaml_file(place: Place, kind: str) -> None:
    path = _made(place, kind, "rules.yaml")
    assert "rules.yaml:1:1" in _is_refused(lambda: read_bytes(path), FileError)


@attack("endings", KINDS)
def the_proxies_of_a_toxiproxy(place: Place, kind: str) -> None:
    path = _made(place, kind, "toxiproxy.json")
    _is_refused(lambda: list(config.read(path)), UsageError)


def _a_run(place: Place) -> Path:
    """The directory of a run that was made by hand, whole but for its evidence."""
    folder = place.folder / "runs" / "20261128T200000Z-redis-slow-abcd"
    for name in ("inputs", "history", "logs"):
        (folder / name).mkdir(parents=True)
    with_nobody = journal.Journal(folder / "journal.jsonl", CLOCK, "m1")
    with_nobody.write(
        event_of("run.started", run=folder.name, experiment="redis-slow", stack="embedded")
    )
    with_nobody.write(event_of("run.ended", ended="completed", why="", evidence={}))
    with_nobody.close()
    return folder


EVIDENCE = {
    f"{name.replace('/', '-')}-{kind}": (name, kind)
    for name in ("samples.jsonl", "audit.json", "inputs/effective.json", "history/drop-0.bin")
    for kind in ("fifo", "zero", "folder", "huge")
} | {
    f"{name}-{kind}": (name, kind)
    for name in ("vitals.jsonl", "reaper.jsonl", "journal.jsonl")
    for kind in ("fifo", "zero", "huge")
}


@attack("endings", EVIDENCE)
def evidence_that_is_no_file(place: Place, case: tuple[str, str]) -> None:
    """It is missing, with the reason, and the run is judged as unknown."""
    name, kind = case
    folder = _a_run(place)
    (folder / name).unlink(missing_ok=True)
    _made(place, kind, str((folder / name).relative_to(place.folder)))
    found = _soon(lambda: read_evidence(folder))
    why = "; ".join(found.problems.values())
    assert "it is" in why or "longer than" in why, why
    result = json.loads(_soon(lambda: judge(found)).to_bytes())
    assert result["verdict"] == "unknown"
    told = [each["why"] for each in result["missing"]]
    assert any("it is" in each or "longer than" in each for each in told), told


@attack("endings", {kind: kind for kind in ("fifo", "zero", "huge", "folder", "loop")})
def a_result_that_is_no_file(place: Place, kind: str) -> None:
    folder = _a_run(place)
    _made(place, kind, str((folder / "result.json").relative_to(place.folder)))
    _is_refused(lambda: read_material(folder))


@attack("endings", {kind: kind for kind in ("fifo", "zero", "huge", "folder")})
def a_draft_that_is_no_file_is_nobody_s_to_replace(place: Place, kind: str) -> None:
    path = _made(place, kind, "postmortem.md")
    assert _soon(lambda: unedited(path)) is False


@attack("endings", {kind: kind for kind in ("fifo", "zero", "huge")})
def healing_beside_records_that_are_no_files(place: Place, kind: str) -> None:
    """They calm nobody."""
    folder = _a_run(place)
    _made(place, kind, str((folder / "reaper.jsonl").relative_to(place.folder)))
    _made(place, kind, str((folder / "healed-1.jsonl").relative_to(place.folder)))
    assert not _soon(lambda: provenance.vouched(folder)).later
    assert not _soon(lambda: provenance.read(folder, KEY)).later


@attack("endings", {kind: kind for kind in ("fifo", "zero", "folder", "huge")})
def a_history_that_is_no_file(place: Place, kind: str) -> None:
    path = _made(place, kind, "drop-0.bin")
    _is_refused(lambda: HistoryTail(path), OSError, ValueError)


STARTS = {
    "of-users": ("constant-vus", 2**32 - 1),
    "beyond-all": ("constant-vus", 2**64 - 1),
    "in-thousands": ("constant-vus", 40_000_000),
    "of-a-rate": ("constant-arrival-rate", 59_000_000),
    "one-too-many": ("constant-arrival-rate", 2**32 - 1),
}


@attack("endings", STARTS)
def a_history_of_starts_that_nobody_had(place: Place, case: tuple[str, int]) -> None:
    """Its bytes 8 to 15 are all that was altered, and its scenario is of any kind."""
    executor, dispatched = case
    level = {"vus": 10} if executor == "constant-vus" else {"rate": "1000000/s"}
    run = RunDir(dispatched=dispatched)
    scenario = {"executor": executor, **level, "duration": "59s"}
    run.experiment = {**run.experiment, "traffic": {"drop": scenario}}
    folder = run.write(place.folder / "run")
    result = json.loads(_soon(lambda: judge(read_evidence(folder))).to_bytes())
    assert result["verdict"] != "valid"
    assert any(each["part"] == "history" for each in result["missing"]), result["missing"]


LINES = {
    f"{name}-{size}": (read, 1 << bits, why)
    for name, read in (("samples", samples.read), ("vitals", vitals.read))
    for size, bits, why in (
        ("in-a-line", 29, "line 1 is longer than"),
        ("of-64-gib", 36, "it is larger than"),
    )
}


@attack("endings", LINES)
def a_line_without_an_end(place: Place, case: tuple[Callable[..., Any], int, str]) -> None:
    read, size, why = case
    path = place.folder / "lines.jsonl"
    with path.open("wb") as file:
        file.truncate(size)
    told: list[str] = []
    _soon(
        lambda: list(read(path, told.append)) if read is samples.read else read(path, told.append)
    )
    assert why in told[0]


def _state(place: Place) -> Path:
    os.environ.update(place.environment)
    return state_dir()


@attack("endings", {kind: kind for kind in ("fifo", "zero", "folder", "huge", "socket")})
def the_files_of_our_own_state(place: Place, kind: str) -> None:
    """A stack that cannot be known is an error, a hold holds, a figure was never measured."""
    state = _state(place)
    for name in ("stack.json", "hold.json", "calibration.json"):
        _made(place, kind, str((state / name).relative_to(place.folder)))
    assert str(stack_file()) in _is_refused(read_kept, StackError)
    found = _soon(hold.current)
    assert found is not None
    assert "cannot be read" in found.reason
    assert _soon(calibration.known) is None


@attack("endings", {kind: kind for kind in ("fifo", "zero", "full")})
def a_lock_file_that_is_none(place: Place, kind: str) -> None:
    folder = _state(place) / "targets"
    folder.mkdir(exist_ok=True)
    _made(place, kind, str((folder / "run-0123.lock").relative_to(place.folder)))
    assert _soon(locks.running) == []


@attack("endings", {kind: kind for kind in ("fifo", "zero", "folder", "huge", "stdin")})
def an_experiment_on_the_command_line(place: Place, kind: str) -> None:
    _made(place, kind, "named.yaml")
    place.gameday("validate", "named.yaml").is_refused("named.yaml")


SHIPPED = ("experiments", "playbooks", "system_under_test")


@attack("endings", {kind: kind for kind in ("fifo", "zero", "folder", "huge")})
def a_playbook_and_rules_of_an_experiment(place: Place, kind: str) -> None:
    for name in SHIPPED:
        shutil.copytree(ROOT / name, place.folder / name)
    _made(place, kind, "playbooks/redis-slow.md")
    os.chdir(place.folder)
    _is_refused(lambda: load_inputs("experiments/redis-slow.yaml"))


# Children


async def _with_child(
    place: Place, do: str, then: Callable[[Child], Coroutine[Any, Any, None]]
) -> None:
    os.environ["PYTHONPATH"] = str(ROOT)
    child = Child("collector", "tests.support.hostile_child", place.folder / "child.log")
    await child.launch()
    try:
        await child.start(json.dumps({"do": do}).encode(), event_in)
        await then(child)
    finally:
        begun_s = time.monotonic()
        await child.finish(0.1, CLOCK)
        assert time.monotonic() - begun_s < AT_ONCE_S


DIES = {
    "long-line": "more than 4 MiB",
    "long-lines": "more than 4 MiB",
    "flood": "more than 4 MiB",
    "not-json": "no answer",
    "null": "no answer",
    "number": "no answer",
    "deep": "no answer",
    "not-utf8": "no answer",
    "no-event": "no answer",
    "last-words": "exit code 7: the disk is on fire",
    "killed": "SIGKILL",
    "segfault": "SIGSEGV",
    "closed": "it does not end",
    "another": "no answer",
}


@attack("endings", {do: (do, why) for do, why in DIES.items()})
def a_child_that_dies_or_is_no_longer_understood(place: Place, case: tuple[str, str]) -> None:
    do, why = case

    async def then(child: Child) -> None:
        async with asyncio.timeout(AT_ONCE_S):
            await child.gone.wait()
        assert child.died
        await child.was_killed()
        assert why in child.why(), child.why()
        assert child.last_words()

    asyncio.run(_with_child(place, do, then))


@attack("endings", {do: do for do in ("silent", "stopped", "lone-surrogate", "flood")})
def a_child_that_hears_nothing_is_ended_all_the_same(place: Place, do: str) -> None:
    async def then(child: Child) -> None:
        for number in range(1_000):
            child.send(b"%d: %s" % (number, b"x" * 1_000))

    asyncio.run(_with_child(place, do, then))


# Waits that do not end


async def _stubborn() -> None:
    """Is not cancelled, whoever tries."""
    end_s = time.monotonic() + AT_ONCE_S
    while time.monotonic() < end_s:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            continue


@attack("endings")
def work_that_is_not_cancelled(_place: Place) -> None:
    async def main() -> None:
        begun_s = time.monotonic()
        try:
            await in_time(_stubborn(), 0.1, cancel_s=0.1)
        except TimeoutError:
            assert time.monotonic() - begun_s < AT_ONCE_S / 2
            return
        raise AssertionError("it was waited for")

    asyncio.new_event_loop().run_until_complete(main())


@attack("endings")
def an_abort_of_work_that_is_not_cancelled(_place: Place) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(_stubborn())
        await asyncio.sleep(0)
        assert not await cancelled(task, within_s=0.1)

    asyncio.new_event_loop().run_until_complete(main())


HELD = {
    "to-thread": lambda: asyncio.to_thread(threading.Event().wait),
    "a-fifo": lambda: asyncio.to_thread(os.read, os.pipe()[0], 1),
    "executor": lambda: asyncio.get_running_loop().run_in_executor(None, threading.Event().wait),
}


@attack("endings", HELD)
def a_loop_whose_threads_never_end(_place: Place, hang: Callable[[], Any]) -> None:
    async def main() -> None:
        try:
            await in_time(hang(), 0.1, cancel_s=0.1)
        except TimeoutError:
            return

    _soon(lambda: run_loop(main()))


@attack("endings")
def more_threads_that_hang_than_there_are(_place: Place) -> None:
    threads = Threads(most=4, end_s=0.1)
    for _ in range(100):
        threads.submit(threading.Event().wait)
    _soon(threads.shutdown)


@attack("endings", {"stubborn": _stubborn})
def a_part_of_the_ending_that_hangs(place: Place, hang: Callable[[], Any]) -> None:
    async def main() -> None:
        book = journal.Journal(place.folder / "journal.jsonl", CLOCK, "m1")
        found: Any = type("Run", (), {"abort": context.Abort(), "journal": book})()
        found.abort("operator", "SIGINT")
        await _bounded(found, "drain", hang(), 30.0, 0.1)
        book.close()
        records = journal.read(book.path).records
        assert any("not reached" in str(r.data.get("problem")) for r in records)

    asyncio.new_event_loop().run_until_complete(main())


# What the collector sends


LONG = {
    "label": 'up{a="' + "x" * 5_000_000 + '"} 1\n',
    "name": "x" * 5_000_000 + " 1\n",
    "labels": "up{" + ",".join(f'a{n}="{n}"' for n in range(300_000)) + "} 1\n",
    "blanks": "up" + " " * 5_000_000 + "1\n",
    "no-end": "x" * 5_000_000,
    "quotes": 'up{a="' + '\\"' * 2_500_000 + '"} 1\n',
}


@attack("endings", LONG)
def a_metrics_line_of_five_megabytes(_place: Place, text: str) -> None:
    said = _is_refused(lambda: Reader({}).read("m 1\n" + text), ExpositionError)
    assert "MB" in said
    assert len(said) < 200


def _alerts(count: int, length: int) -> list[AlertLine]:
    return [
        AlertLine({"alertname": f"A{n % 7}", "x": "y" * length}, "firing", n) for n in range(count)
    ]


@attack(
    "endings",
    {"many": (20_000, 10), "long": (7, 5_000_000), "both": (5_000, 60_000), "one": (1, 10**7)},
)
def more_alerts_than_can_be_told(_place: Place, case: tuple[int, int]) -> None:
    """What is told stays under the line that is heard, and names each alert that there is."""
    every = _alerts(*case)
    told = _soon(lambda: few_enough(every))
    assert len(json.dumps(plain(told))) < 1_000_000
    names = {each.name for each in every}
    assert {each.name for each in told} == names


# Whole processes


HANGS = {name: name for name in ("loop", "task", "shield", "thread", "pipe")}


@attack("endings", HANGS, slow=True, longest_s=120)
def a_controller_that_hangs_and_a_third_ctrl_c(place: Place, hangs: str) -> None:
    process = hanging(place.folder, hangs)
    for _ in range(3):
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 6, said
    assert until(lambda: reaped(place.folder))
    assert not (place.folder / "r" / FAULT).exists()


@attack("endings", {"stopped": signal.SIGSTOP}, slow=True, longest_s=120)
def a_reaper_that_does_not_end(place: Place, sent: signal.Signals) -> None:
    """It is told that all is done, does not hear it, and is ended: it holds the target's lock."""

    async def main() -> None:
        (place.folder / "logs").mkdir()
        reaper = Reaper(place.folder, CLOCK, lambda _: None)
        await reaper.launch(KEY)
        (process,) = psutil.Process().children()
        process.send_signal(sent)
        begun_s = time.monotonic()
        await reaper.finish()
        assert not process.is_running()
        assert reaper.why() == "it was ended by SIGKILL"
        assert time.monotonic() - begun_s < 3 * AT_ONCE_S

    run_loop(main())
