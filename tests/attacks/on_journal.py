"""Forged, copied, cut and senseless journals: no run directory gives an order, or calms anybody."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gameday.evidence.journal import sealed
from gameday.evidence.journal_lengths import Length
from gameday.injection.process.process import start_time
from tests.attacks.journals import (
    ENDED,
    FOREIGN,
    OTHER,
    REMOVED,
    RUN,
    SECRET,
    Server,
    begun,
    called,
    fault,
    has_key,
    is_foreign,
    part,
    said,
    server,
    sleeper,
    step,
    write,
)
from tests.attacks.place import Place
from tests.attacks.registry import attack
from tests.support.signed import KEY

JOURNAL = f"{RUN}/journal.jsonl"
REAPER = f"{RUN}/reaper.jsonl"
Forger = Callable[[Place, Server], Any]


def request(url: str, **headers: Any) -> dict[str, Any]:
    asked = {"post": "/back", "headers": headers}
    return {"kind": "request", "action": "back", "base_url": url, "request": asked}


def stealing(place: Place, there: Server) -> Any:
    secret = place.write("secret", SECRET)
    return request(there.url, A={"env": "GAMEDAY_CANARY"}, B={"file": str(secret)})


ORDERS: dict[str, Forger] = {
    "a request with secrets": lambda place, there: step(stealing(place, there)),
    "a request without": lambda _, there: step(request(there.url)),
    "a toxic": lambda _, there: fault(there.toxic()),
    "a proxy": lambda _, there: fault(
        {"kind": "proxy", "url": there.url, "proxy": "p", "enabled": True}
    ),
    "a proxy made anew": lambda _, there: fault(
        {
            "kind": "proxy",
            "url": there.url,
            "proxy": "p",
            "whole": {"listen": "", "upstream": "", "enabled": True, "toxics": []},
        }
    ),
    "a store": lambda place, there: fault(
        {
            "kind": "redis",
            "do": "block",
            "url": {"file": str(place.write("url", there.url.replace("http", "redis")))},
            "name": "gameday-x-1",
            "lasts": True,
        }
    ),
    "a request as a fault": lambda place, there: fault(stealing(place, there)),
    "a request as a part": lambda place, there: part(stealing(place, there)),
    "a pressed removal": lambda place, there: (
        "fault.escalated",
        {"id": "f", "undo": [stealing(place, there)]},
    ),
}


@attack("journal", ORDERS)
def a_forged_order(place: Place, forge: Forger) -> None:
    """An unsigned journal sends nothing anywhere, and is listed."""
    has_key(place)
    with server() as there:
        write(place, JOURNAL, begun(), fault(), forge(place, there))
        done = called(place, "heal")
        assert there.asked == [], there.asked
    is_foreign(done)


@attack("journal", ORDERS)
def an_order_of_another_key(place: Place, forge: Forger) -> None:
    """What another user or machine has signed is no order here."""
    has_key(place)
    with server() as there:
        write(place, JOURNAL, begun(), fault(), forge(place, there), key=FOREIGN)
        done = called(place, "heal")
        assert there.asked == [], there.asked
    is_foreign(done)
    assert "signed with the key" in done.output


@attack("journal", {name: ORDERS[name] for name in ("a request with secrets", "a toxic")})
def a_forged_order_among_signed_records(place: Place, forge: Forger) -> None:
    """A line that is put into a journal of ours is none of ours."""
    has_key(place)
    with server() as there:
        write(place, JOURNAL, begun(), key=KEY)
        write(place, JOURNAL, fault(), forge(place, there))
        done = called(place, "heal")
        assert there.asked == [], there.asked
    is_foreign(done)


def a_process(pid: int, **more: Any) -> dict[str, Any]:
    began = start_time(pid) or ""
    return {"kind": "process", "pid": pid, "start_time": began, "name": "redis", **more}


@attack("journal", {"unsigned": None, "of another key": FOREIGN})
def a_forged_signal(place: Place, key: Any) -> None:
    has_key(place)
    with sleeper() as somebody:
        write(place, JOURNAL, begun(), part(a_process(somebody.pid)), key=key)
        done = called(place, "heal")
        assert somebody.poll() is None
    is_foreign(done)


def copied(place: Place, there: Server, to: str, *events: Any) -> None:
    """Records that were signed for another run, or another file of it, stand in `to`."""
    source = write(place, f"{OTHER}/reaper.jsonl", *events, key=KEY)
    target = place.folder / "runs" / to
    before = target.read_bytes() if target.exists() else b""
    target.write_bytes(before + source.read_bytes())
    shutil.rmtree(source.parent)
    del there


def another_file(place: Place, there: Server) -> None:
    """Its own healing, signed, under another number."""
    write(place, f"{RUN}/healed-7.jsonl", REMOVED, ENDED, key=KEY).rename(
        place.folder / "runs" / REAPER
    )
    del there


def renumbered(place: Place, there: Server) -> None:
    """A signed record of the run itself, with another number and sums that fit."""
    path = write(place, REAPER, REMOVED, key=KEY)
    body = json.loads(path.read_bytes())
    del body["crc"]
    path.write_bytes(sealed(json.dumps({**body, "seq": 1}).encode()) + b"\n")
    del there


def altered(place: Place, there: Server) -> None:
    """A removal that had failed, made one that succeeded."""
    path = write(place, REAPER, ("fault.removed", {"id": "f", "gone": False}), key=KEY)
    body = json.loads(path.read_bytes())
    del body["crc"]
    path.write_bytes(sealed(json.dumps({**body, "gone": True}).encode()) + b"\n")
    del there


def unsigned(file: str, *events: Any, key: Any = None) -> Forger:
    return lambda place, there: write(place, file, *events, key=key)


def under_way(place: Place, there: Server) -> None:
    me = {"pid": os.getpid(), "start_time": start_time(os.getpid())}
    write(place, JOURNAL, begun(controller=me))
    del there


def garbage(raw: bytes) -> Forger:
    def put(place: Place, there: Server) -> None:
        path = place.folder / "runs" / JOURNAL
        first, _, rest = path.read_bytes().partition(b"\n")
        path.write_bytes(first + b"\n" + raw + b"\n" + rest)
        del there

    return put


CALMERS: dict[str, Forger] = {
    "removed": unsigned(JOURNAL, REMOVED),
    "ended": unsigned(JOURNAL, ENDED),
    "removed by the reaper": unsigned(REAPER, REMOVED),
    "healed": unsigned(f"{RUN}/healed-1.jsonl", REMOVED),
    "healed many times": lambda place, there: [
        write(place, f"{RUN}/healed-{n}.jsonl", REMOVED) for n in range(1, 200)
    ],
    "removed by another key": unsigned(REAPER, REMOVED, key=FOREIGN),
    "a removal of another run": lambda place, there: copied(place, there, REAPER, REMOVED),
    "a removal of another run in the journal": lambda p, there: copied(p, there, JOURNAL, REMOVED),
    "a healing of another run": lambda place, there: copied(
        place, there, f"{RUN}/healed-1.jsonl", REMOVED
    ),
    "a removal of another file": another_file,
    "a removal of another place": renumbered,
    "a removal that was altered": altered,
    "under way": under_way,
    "garbage before the fault": garbage(b"garbage"),
    "a torn line before the fault": garbage(b'{"seq": 1, "t":'),
    "nesting before the fault": garbage(b"[" * 100_000),
    "an unsigned line before the fault": garbage(b'{"seq": 1, "t": 1, "event": "phase"}'),
    "a NUL before the fault": garbage(b"\0" * 4096),
    "a line of 17 MB at the end": lambda place, there: (
        (place.folder / "runs" / JOURNAL).open("ab").write(b"x" * 17_000_000)
    ),
}


@attack("journal", CALMERS)
def a_forged_all_clear(place: Place, calm: Forger) -> None:
    """A signed fault is taken out whatever else stands in the run's directory."""
    has_key(place)
    with server() as there:
        write(place, JOURNAL, begun(), fault(there.toxic()), key=KEY)
        calm(place, there)
        done = called(place, "heal")
        assert there.toxics == [], done.output
        assert "Traceback" not in done.output
        assert done.exit_code in (0, 6), done.output


def without(number: int) -> Forger:
    def put(place: Place, there: Server) -> None:
        path = place.folder / "runs" / JOURNAL
        lines = path.read_bytes().splitlines(keepends=True)
        del lines[number]
        path.write_bytes(b"".join(lines))
        del there

    return put


def replaced(place: Place, there: Server) -> None:
    """The journal of another, peaceful run of the user's own, signed, in its place."""
    source = write(place, f"{OTHER}/journal.jsonl", begun(), ENDED, key=KEY)
    shutil.move(source, place.folder / "runs" / JOURNAL)
    shutil.rmtree(source.parent)
    del there


@attack("journal", {"its first record": without(0), "its fault": without(1)})
def a_record_taken_out(place: Place, take: Forger) -> None:
    """What a missing record had announced is unknown, never gone."""
    has_key(place)
    with server() as there:
        events = [begun(), fault(there.toxic()), ("fault.injected", {"id": "f"})]
        write(place, JOURNAL, *events, key=KEY)
        take(place, there)
        done = called(place, "heal")
    assert done.exit_code == 6, done.output
    assert "is not there, and what it announced is not known" in done.output


def cut_to(number: int) -> Forger:
    def put(place: Place, there: Server) -> None:
        path = place.folder / "runs" / JOURNAL
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:number]))
        del there

    return put


def cut_in_the_last(place: Place, there: Server) -> None:
    path = place.folder / "runs" / JOURNAL
    os.truncate(path, path.stat().st_size - 9)
    del there


def gone(place: Place, there: Server) -> None:
    (place.folder / "runs" / JOURNAL).unlink()
    del there


CUTS: dict[str, Forger] = {
    "to nothing": cut_to(0),
    "before its fault": cut_to(1),
    "in its fault": cut_in_the_last,
    "away": gone,
    "and replaced by a peaceful one of another run": replaced,
    "and replaced by an unsigned one": lambda place, there: [
        cut_to(0)(place, there),
        write(place, JOURNAL, begun(), ENDED),
    ],
}


@attack("journal", CUTS)
def a_journal_that_was_cut_off(place: Place, cut: Forger) -> None:
    """The end is missing where the fault was announced; nobody takes the run for clean."""
    has_key(place)
    with server() as there:
        path = write(place, JOURNAL, begun(), fault(there.toxic()), key=KEY)
        Length(Path(place.environment["XDG_STATE_HOME"]) / "gameday", RUN).note(2)
        cut(place, there)
        done = called(place, "heal")
    assert done.exit_code == 6, done.output
    assert "cut off" in said(done) or "its journal is gone" in said(done), done.output
    del path


def a_line(**fields: Any) -> bytes:
    common = {"seq": 0, "t": 1, "clock": "m1", "event": "phase", "audience": "all"}
    return sealed(json.dumps({**common, "prev": "0" * 64, **fields}).encode()) + b"\n"


def a_gigabyte(path: Path, line: bytes) -> None:
    """Many lines, then a hole: as large as it looks, and soon made."""
    path.write_bytes(line * 10_000)
    os.truncate(path, 2**30)


INJECTING = {"event": "fault.injecting", "id": "f"}
HOSTILE: dict[str, bytes | Callable[[Path], Any]] = {
    "empty": b"",
    "garbage": b"\xff\xfe\x00garbage\n" * 9,
    "NULs": b"\0" * 100_000,
    "newlines": b"\n" * 100_000,
    "nesting": b"[" * 1_000_000 + b"\n",
    "nested objects": b'{"a":' * 100_000 + b"\n",
    "a list": b"[]\n",
    "a number of a million digits": b"1" * 1_000_000 + b"\n",
    "NaN": a_line(t=float("nan")),
    "seq a text": a_line(seq="0"),
    "seq a truth": a_line(seq=False),
    "seq 10^30": a_line(seq=10**30),
    "t a list": a_line(t=[1]),
    "event a list": a_line(event=["fault.injecting"]),
    "event an object": a_line(event={}),
    "id a list": a_line(event="fault.injecting", id=["f"], undo=[]),
    "id an object": a_line(event="fault.removed", id={"a": 1}, gone=True),
    "undo 5": a_line(**INJECTING, undo=5),
    "undo null": a_line(**INJECTING, undo=None),
    "undo of numbers": a_line(**INJECTING, undo=[1, 2]),
    "undo without a kind": a_line(**INJECTING, undo=[{"url": "x"}]),
    "undo of an unknown kind": a_line(**INJECTING, undo=[{"kind": "rm -rf"}]),
    "undo without a url": a_line(**INJECTING, undo=[{"kind": "toxic"}]),
    "no undo": a_line(**INJECTING),
    "no id": a_line(event="fault.removed"),
    "step a list": a_line(event="step.started", step=[], undo={"kind": "request"}),
    "step done without a status": a_line(event="step.done", step=1, undoing=True),
    "a part without a name": a_line(event="stack.starting", undo=[]),
    "a controller 5": a_line(event="run.started", controller=5),
    "a controller without a pid": a_line(event="run.started", controller={}),
    "a controller of a large pid": a_line(event="run.started", controller={"pid": 10**40}),
    "an end without a word": a_line(event="run.ended"),
    "an end that is a list": a_line(event="run.ended", ended=[]),
    "lone surrogates": a_line(event="phase", problem="\ud800"),
    "escapes": a_line(event="run.ended", ended="\x1b]0;x\x07\x1b[2J"),
    "a FIFO": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a gigabyte of nothing": lambda path: a_gigabyte(path, b""),
    "a gigabyte of lines": lambda path: a_gigabyte(path, a_line()),
}


@attack("journal", HOSTILE)
def one_bad_journal(place: Place, hostile: Any) -> None:
    """It keeps no other run from being healed, and ends no command."""
    has_key(place)
    bad = place.folder / "runs" / OTHER / "journal.jsonl"
    with server() as there:
        write(place, JOURNAL, begun(), fault(there.toxic()), key=KEY)
        bad.parent.mkdir()
        hostile(bad) if callable(hostile) else bad.write_bytes(hostile)
        done = called(place, "heal")
        assert there.toxics == [], done.output
    assert done.exit_code in (0, 6), done.output
    assert "Traceback" not in done.output, done.output
    listed = called(place, "runs")
    assert listed.exit_code == 0, listed.output
    assert "drop-aaaa" in listed.output, listed.output
    assert "drop-bbbb" in listed.output, listed.output
    judged = called(place, "check", OTHER)
    assert judged.exit_code in (1, 2, 3, 4, 5, 6), judged.output
    assert "Traceback" not in judged.output, judged.output


@attack("journal", {name: HOSTILE[name] for name in ("a FIFO", "undo 5", "garbage", "nesting")})
def one_bad_later_file(place: Place, hostile: Any) -> None:
    """A file of the reaper or of a healing that makes no sense does not stand in the way either."""
    has_key(place)
    with server() as there:
        write(place, JOURNAL, begun(), fault(there.toxic()), key=KEY)
        for name in ("reaper.jsonl", "healed-1.jsonl"):
            path = place.folder / "runs" / RUN / name
            hostile(path) if callable(hostile) else path.write_bytes(hostile)
        done = called(place, "heal")
        assert there.toxics == [], done.output
    assert "Traceback" not in done.output, done.output


SENSELESS: dict[str, dict[str, Any]] = {
    "pid 0": {"kind": "process", "pid": 0, "start_time": "", "name": "x"},
    "pid 1": {"kind": "process", "pid": 1, "start_time": "1@x", "name": "x"},
    "pid -1": {"kind": "process", "pid": -1, "start_time": "", "name": "x"},
    "pid a text": {"kind": "process", "pid": "12", "start_time": "", "name": "x"},
    "pid a truth": {"kind": "process", "pid": True, "start_time": "", "name": "x"},
    "pid 1.0": {"kind": "process", "pid": 1.0, "start_time": "", "name": "x"},
    "pid 10^30": {"kind": "process", "pid": 10**30, "start_time": "", "name": "x"},
    "no pid": {"kind": "process", "start_time": "", "name": "x"},
    "a signal of no name": {
        "kind": "process",
        "pid": 99,
        "start_time": "",
        "name": "x",
        "signal": "SIGFOO",
    },
    "no url": {"kind": "toxic", "proxy": "p", "name": "n"},
    "a url of a file": {"kind": "toxic", "url": "file:///etc/passwd", "proxy": "p", "name": "n"},
    "a url 5": {"kind": "toxic", "url": 5, "proxy": "p", "name": "n"},
    "proxies 5": {"kind": "toxic", "url": "http://[::1", "proxy": "p", "name": "n", "was": 5},
    "no kind that is known": {"kind": "shell", "argv": ["touch", "hit"]},
    "a folder of no name": {"kind": "folder", "path": ""},
    "a folder 5": {"kind": "folder", "path": 5},
    "a folder with a NUL": {"kind": "folder", "path": "/tmp/gameday-\0"},
    "a request 5": {"kind": "request", "base_url": "http://127.0.0.1:9", "request": 5},
    "a request of no method": {"kind": "request", "base_url": "http://127.0.0.1:9", "request": {}},
    "a store of no address": {"kind": "redis", "do": "block", "url": 5, "name": "n"},
    "a part that is relative": {"kind": "service", "what": "start", "part": "x"},
    "a part of no kind": {"kind": "service", "what": "format", "part": "/x"},
}


@attack("journal", SENSELESS)
def a_senseless_undo(place: Place, undo: dict[str, Any]) -> None:
    """Even a signed one is unknown, never gone, and the others have their turn."""
    has_key(place)
    with server() as there:
        write(place, JOURNAL, begun(), fault(undo), part(there.toxic(), name="x"), key=KEY)
        done = called(place, "heal")
        assert there.toxics == [], done.output
    assert done.exit_code == 6, done.output
    assert "Traceback" not in done.output, done.output
    assert not (place.folder / "hit").exists()


def own_parent(place: Place) -> dict[str, Any]:
    del place
    return a_process(os.getppid())


def own_process(place: Place) -> dict[str, Any]:
    del place
    return a_process(os.getpid())


@attack("journal", {"itself": own_process, "what started it": own_parent})
def a_signal_to_gameday(place: Place, forge: Callable[[Place], dict[str, Any]]) -> None:
    has_key(place)
    write(place, JOURNAL, begun(), part(forge(place)), key=KEY)
    done = called(place, "heal")
    assert done.exit_code == 6, done.output
    assert "no part of a stack" in said(done), done.output


@attack("journal", {"without a token": "", "with another": "ffff0000"})
def a_signal_to_a_stranger(place: Place, token: str) -> None:
    """The process of that PID and start time is not what the record's token names."""
    has_key(place)
    with sleeper(token) as somebody:
        forged = a_process(somebody.pid, token="0123456789abcdef")
        write(place, JOURNAL, begun(), part(forged))
        done = called(place, "heal", "--trust", RUN)
        assert somebody.poll() is None
    assert done.exit_code == 6, done.output


def a_project(place: Place) -> dict[str, Any]:
    return {"kind": "folder", "path": str(place.write("gameday-project/work", "x").parent)}


def with_a_guessed_mark(place: Place) -> dict[str, Any]:
    return {**a_project(place), "mark": "0" * 32}


def a_link(place: Place) -> dict[str, Any]:
    (place.folder / "gameday-link").symlink_to(a_project(place)["path"])
    return {"kind": "folder", "path": str(place.folder / "gameday-link")}


def by_a_linked_parent(place: Place) -> dict[str, Any]:
    a_project(place)
    (place.folder / "tmp").symlink_to(place.folder)
    return {"kind": "folder", "path": str(place.folder / "tmp" / "gameday-project")}


def upwards(place: Place) -> dict[str, Any]:
    a_project(place)
    return {"kind": "folder", "path": f"{place.folder}/gameday-x/../gameday-project"}


def with_a_linked_mark(place: Place) -> dict[str, Any]:
    path = Path(a_project(place)["path"])
    (path / ".gameday").symlink_to(place.write("mark", "0" * 32))
    return {"kind": "folder", "path": str(path), "mark": "0" * 32}


FOLDERS = {
    "a project": a_project,
    "a guessed mark": with_a_guessed_mark,
    "a link": a_link,
    "a linked parent": by_a_linked_parent,
    "upwards": upwards,
    "a linked mark": with_a_linked_mark,
}


@attack("journal", FOLDERS)
def a_folder_of_somebody(place: Place, forge: Callable[[Place], dict[str, Any]]) -> None:
    """Only a folder with gameday's mark is removed, even for one who vouches."""
    has_key(place)
    write(place, JOURNAL, begun(), part(forge(place), name="folder"))
    done = called(place, "heal", "--trust", RUN)
    assert (place.folder / "gameday-project" / "work").read_text() == "x"
    assert done.exit_code == 6, done.output


def world_writable(path: Path) -> None:
    path.chmod(0o666)


def linked(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def senseless(path: Path) -> None:
    path.write_text('{"argv": 5}')


def a_launch(place: Place) -> tuple[Path, Path]:
    """A file that starts something which leaves a trace, and that trace."""
    hit = place.folder / "hit"
    launch: dict[str, Any] = {
        "name": "redis",
        "token": "t",
        "argv": ["/usr/bin/touch", str(hit)],
        "environment": {},
        "folder": "/",
        "log": str(place.folder / "log"),
        "output": None,
        "account": None,
        "owner": None,
        "question": None,
        "stale": [],
        "memory": [],
    }
    file = place.write("part.json", json.dumps(launch))
    file.chmod(0o600)
    return hit, file


@attack("journal", {"world-writable": world_writable, "linked": linked, "senseless": senseless})
def a_part_that_others_wrote(place: Place, forge: Callable[[Path], Any]) -> None:
    """The file that says what is started must be one that nobody else can have written."""
    has_key(place)
    hit, file = a_launch(place)
    forge(file)
    undo = {"kind": "service", "what": "start", "forget": False, "part": str(file)}
    write(place, JOURNAL, begun(), fault(undo))
    done = called(place, "heal", "--trust", RUN)
    assert not hit.exists()
    assert done.exit_code == 6, done.output
    assert "starts nothing" in said(done), done.output


@attack("journal", {"a toxic": "toxic", "a proxy": "proxy"})
def a_part_of_one_who_vouches(place: Place, kind: str) -> None:
    """A removal that is stuck starts no server that a journal of others names."""
    has_key(place)
    hit, file = a_launch(place)
    with server() as there:
        there.stuck = True
        undo = {**there.toxic(), "kind": kind, "enabled": False, "part": str(file)}
        undo["was"] = {"p": {"listen": "", "upstream": "", "enabled": True, "toxics": []}}
        write(place, JOURNAL, begun(), fault(undo))
        done = called(place, "heal", "--trust", RUN)
    assert not hit.exists()
    assert done.exit_code == 6, done.output


def widened_by_effective(place: Place) -> None:
    place.write(f"runs/{RUN}/inputs/effective.json", '{"allowed": ["192.0.2.7"]}')


def widened_by_system(place: Place) -> None:
    place.write(f"runs/{RUN}/inputs/system.yaml", "allowed: [192.0.2.7]\n")


def not_widened(place: Place) -> None:
    del place


@attack(
    "journal",
    {
        "by nothing": not_widened,
        "by effective.json": widened_by_effective,
        "by system.yaml": widened_by_system,
    },
)
def another_host(place: Place, widen: Callable[[Place], None]) -> None:
    """One who vouches for a run reaches another host only by the command line."""
    has_key(place)
    write(place, JOURNAL, begun(allowed=["192.0.2.7"]), step(request("http://192.0.2.7:9")))
    widen(place)
    done = called(place, "heal", "--trust", RUN)
    assert done.exit_code == 6, done.output
    assert "--allow-target 192.0.2.7" in said(done), done.output
    assert "sends" in done.output, "it is shown all the same"


@attack("journal", {"a request": stealing})
def a_secret_of_one_who_vouches(place: Place, forge: Forger) -> None:
    """Without --with-secrets nothing is read and nothing sent; with it, it is what was asked."""
    has_key(place)
    with server() as there:
        write(place, JOURNAL, begun(), step(forge(place, there)))
        done = called(place, "heal", "--trust", RUN)
        assert there.asked == []
        assert done.exit_code == 6, done.output
        assert "--with-secrets" in said(done), done.output
        done = called(place, "heal", "--trust", RUN, "--with-secrets")
        assert [SECRET in text for text in there.asked] == [True], done.output
        assert SECRET not in done.output


def lost(path: Path) -> None:
    path.unlink()


def shortened(path: Path) -> None:
    path.write_bytes(b"x")


def opened(path: Path) -> None:
    path.chmod(0o644)


def of_another(path: Path) -> None:
    path.write_bytes(FOREIGN.secret)


def made_a_link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def made_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


KEYS = {
    "lost": lost,
    "shortened": shortened,
    "readable by others": opened,
    "another": of_another,
    "a link": made_a_link,
    "a FIFO": made_a_fifo,
    "a folder": made_a_folder,
}


@attack("journal", KEYS)
def a_key_that_is_not_ours(place: Place, spoil: Callable[[Path], None]) -> None:
    """Without the key the run is nobody's: told, left alone, and undone by one who vouches."""
    path = has_key(place)
    with server() as there:
        write(place, JOURNAL, begun(), fault(there.toxic()), key=KEY)
        spoil(path)
        done = called(place, "heal")
        assert there.asked == []
        is_foreign(done)
        done = called(place, "heal", "--trust", RUN)
        assert there.toxics == [], done.output
        assert done.exit_code == 0, done.output


@attack("journal", {"0777": 0o777, "0644": 0o644})
def a_state_folder_of_everybody(place: Place, mode: int) -> None:
    """The key is made for its owner alone, whatever the folder was."""
    folder = Path(place.environment["XDG_STATE_HOME"]) / "gameday"
    folder.mkdir(parents=True)
    folder.chmod(mode)
    has_key(place)
    called(place, "heal")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
