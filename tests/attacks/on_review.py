"""What reviewers who had not seen it built made fall: each attack was a promise that did not hold.

Links in run folders, references that carry more than a reference, stores that are asked at another
door, and secrets that look like something else.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gameday.core import settings
from gameday.core.errors import FileError
from gameday.core.network import event_loop
from gameday.core.secrets.redaction import MASK, Hidden
from gameday.evidence.journal_lengths import Length
from gameday.injection.drivers import store_sessions
from gameday.injection.drivers.request import RequestError, Sender, resolved
from gameday.spec import undos
from gameday.spec.request import IssueRequest, Request
from gameday.spec.undos import NoRecordError, SqlUndo, StoreServer
from gameday.traffic.worker.config import Config
from gameday.traffic.worker.request import RequestBytes
from tests.attacks.journals import (
    ENDED,
    OTHER,
    RUN,
    Server,
    begun,
    called,
    fault,
    has_key,
    said,
    server,
    step,
    write,
)
from tests.attacks.place import Place
from tests.attacks.registry import attack
from tests.support.signed import KEY

TAKEN_BACK = ("step.done", {"step": 1, "undoing": True, "status": "done"})


def note_length(place: Place, run: str, records: int) -> None:
    """So many records of that run were on the disk."""
    length = Length(Path(place.environment["XDG_STATE_HOME"]) / "gameday", run)
    length.note(records)
    length.close()


@attack("review")
def a_healing_of_another_run_by_a_link(place: Place) -> None:
    """Another run's own signed healing, linked into this one, takes no step of it back."""
    has_key(place)
    with server() as there:
        undo = {
            "kind": "request",
            "action": "back",
            "base_url": there.url,
            "request": {"post": "/back"},
        }
        write(place, f"{RUN}/journal.jsonl", begun(), step(undo), key=KEY)
        write(place, f"{OTHER}/journal.jsonl", begun(), ENDED, key=KEY)
        write(place, f"{OTHER}/healed-1.jsonl", TAKEN_BACK, key=KEY)
        os.symlink(f"../{OTHER}/healed-1.jsonl", place.folder / "runs" / RUN / "healed-1.jsonl")
        done = called(place, "heal", RUN)
        assert len(there.asked) == 1, there.asked
    assert "taken back before" not in said(done), done.output


def instead_of_the_journal(runs: Path) -> None:
    (runs / RUN / "journal.jsonl").unlink()
    os.symlink(f"../{OTHER}/journal.jsonl", runs / RUN / "journal.jsonl")


def instead_of_the_folder(runs: Path) -> None:
    (runs / RUN / "journal.jsonl").unlink()
    (runs / RUN).rmdir()
    os.symlink(OTHER, runs / RUN)


LINKS: dict[str, Callable[[Path], None]] = {
    "journal": instead_of_the_journal,
    "folder": instead_of_the_folder,
}


@attack("review", LINKS)
def a_run_that_ended_well_by_a_link(place: Place, link: Callable[[Path], None]) -> None:
    """A link to a run that left nothing behind says nothing of the one whose place it takes."""
    has_key(place)
    with server() as there:
        write(place, f"{RUN}/journal.jsonl", begun(), fault(there.toxic()), key=KEY)
        write(place, f"{OTHER}/journal.jsonl", begun(), ENDED, key=KEY)
        note_length(place, RUN, 2)
        link(place.folder / "runs")
        done = called(place, "heal")
        assert there.toxics
    assert done.exit_code == 6, done.output
    assert "unknown" in done.output


REFERENCES: dict[str, dict[str, Any]] = {
    "more-beside": {"env": "AUDIT", "x": "1"},
    "both": {"env": "AUDIT", "file": 3},
    "with-null": {"env": "AUDIT", "file": None},
}


@attack("review", REFERENCES)
def a_reference_that_is_more_than_one(place: Place, reference: dict[str, Any]) -> None:
    """Whatever a record calls a reference, `--trust` alone resolves no secret for it."""
    has_key(place)
    with server() as there:
        os.environ["AUDIT"] = there.url.replace("http://", "redis://:canary-pw@")
        undo = {
            "kind": "redis",
            "do": "block",
            "url": reference,
            "name": "gameday-x-1",
            "lasts": True,
        }
        write(place, f"{RUN}/journal.jsonl", begun(), fault(undo))
        done = called(place, "heal", "--trust", RUN)
        assert done.exit_code == 6, done.output
        assert "not one of gameday's" in said(done), done.output
    try:
        undos.read(undo)
    except NoRecordError:
        return
    raise AssertionError(f"{reference} passes as a reference")


def seen(id_: str = "a", at: str = "h:1", database: str = "coupons") -> StoreServer:
    return store_sessions.server(f"redis://u:p@{at}", id_, 10.0, 100.0, database=database)


DOORS: dict[str, tuple[StoreServer, StoreServer]] = {
    "another-database": (seen(), seen(database="postgres")),
    "nameless-elsewhere": (seen(id_=""), seen(id_="", at="h:2")),
}


@attack("review", DOORS)
def a_store_asked_at_another_door(place: Place, doors: tuple[StoreServer, StoreServer]) -> None:
    """What another database, or another server that does not say its name, lacks is not gone."""
    del place
    before, now = doors
    changed = SqlUndo(do="lock", name="gameday-x-1", dsn={"env": "A"}, server=before)
    assert store_sessions.unless_another(changed, before).gone is True
    assert store_sessions.unless_another(changed, now).gone is None


@attack("review", {"placeholder": "{user}", "unknown": "Sq9{x}7", "open": "a{b", "twice": "{{}}"})
def a_secret_with_braces(place: Place, value: str) -> None:
    """A secret in a header is sent as it is, and no error tells it."""
    issue = {
        "post": "/x",
        "headers": {"X-A": {"env": "T"}},
        "outcomes": {"issued": {"status": 200}},
    }
    config = Config.model_validate(
        {
            "worker": 0,
            "workers": 1,
            "history_dir": str(place.folder),
            "seed": 1,
            "run": "r",
            "coupon": "c",
            "users": 5,
            "base_url": "http://127.0.0.1:1",
            "request": resolved(IssueRequest.model_validate(issue), {"T": value}),
        }
    )
    assert f"\r\nX-A: {value}\r\n".encode() in RequestBytes(config).render(3)


@attack("review", {"line": "\n", "zero": "\0"})
def a_long_secret_that_no_header_takes(place: Place, odd: str) -> None:
    """What a library says of it is cut only after it was hidden."""
    secret = f"canary{'abcdefgh' * 40}{odd}zz"
    asked = Request.model_validate({"post": "/x", "headers": {"X-A": {"env": "API_TOKEN"}}})

    async def send(there: Server) -> str:
        try:
            await Sender(there.url, {}, {"API_TOKEN": secret}).send(asked)
        except RequestError as error:
            return error.message
        return ""

    del place
    with server() as there:
        told = event_loop.run(send(there))
    assert MASK in told
    assert "canary" not in told, told


ADDRESSES = {
    "redis-slash": ("redis", "redis://:canary/word@127.0.0.1:1/0"),
    "redis-hash": ("redis", "redis://user:canary#word@127.0.0.1:1/0"),
    "redis-bracket": ("redis", "redis://user:word[canary@[::1]:1/0"),
    "redis-option": ("redis", "redis://127.0.0.1:1/0?canary=word"),
    "redis-port": ("redis", "redis://127.0.0.1:canary/0"),
    "postgres-at": ("sql", "postgresql://user:word@canary@127.0.0.1:1/d"),
    "postgres-hash": ("sql", "postgresql://user:canary#word@127.0.0.1:1/d"),
    "postgres-query": ("sql", "postgresql://127.0.0.1:1/d?password=word&canary"),
    "postgres-scheme": ("sql", "canary://user:word@127.0.0.1:1/d"),
}


@attack("review", ADDRESSES)
def a_password_that_breaks_its_address(place: Place, case: tuple[str, str]) -> None:
    """What a library cannot read of a store's address, `heal` quotes no piece of."""
    kind, address = case
    key = {"redis": "url", "sql": "dsn"}[kind]
    os.environ["AUDIT"] = address
    undo = {"kind": kind, "do": "block", key: {"env": "AUDIT"}, "name": "gameday-x-1"}
    more = {"do": "slow"} if kind == "sql" else {"lasts": True}
    has_key(place)
    write(place, f"{RUN}/journal.jsonl", begun(), fault({**undo, **more}), key=KEY)
    done = called(place, "heal")
    assert done.exit_code == 6, done.output
    assert "canary" not in done.output, done.output


ECHOES = {
    "go": (r"p\u0026ssw\u003cr\u003ed", "p&ssw<r>d"),
    "html": ("p&amp;ssw&lt;r&#39;d", "p&ssw<r'd"),
    "php": (r"abc\/def\/ghi", "abc/def/ghi"),
    "java": (r"p\u00E4ssw\u00F6rd", "pässwörd"),
    "twice": (r"ab\\\"cd", 'ab"cd'),
    "small-digits": ("ab%2fcd%3d", "ab/cd="),
    "browser": ("ab(cd)%26!", "ab(cd)&!"),
    "latin-1": ("pÃ¤sswÃ¶rd", "pässwörd"),
    "base64-of-addresses": ("eHh4eHjDv8O_w7_Dv8O_", "xxxxxÿÿÿÿÿ"),
    "basic": ("dXNlcjpwYSFzcw", "redis://user:pa!ss@h:1/0"),
}


@attack("review", ECHOES)
def a_secret_as_others_write_it(place: Place, case: tuple[str, str]) -> None:
    """A secret that a service or a page quotes in its own way is hidden there, too."""
    del place
    echoed, secret = case
    assert Hidden([secret])(f"it said {echoed}, so") == f"it said {MASK}, so"


@attack("review")
def a_toxic_that_was_moved(place: Place) -> None:
    """A toxic that somebody has put onto another proxy is not called gone."""
    has_key(place)
    with server() as there:
        write(place, f"{RUN}/journal.jsonl", begun(), fault(there.toxic()), key=KEY)
        there.moved = True
        done = called(place, "heal")
    assert done.exit_code == 6, done.output
    assert "it is on proxy 'q'" in said(done), done.output


@attack("review", {"runs": "out", "system": "out/s.yaml"})
def a_project_that_leads_out_by_a_link(place: Place, where: str) -> None:
    """A link in somebody's repository does not take the project's settings out of it."""
    key = "system" if where.endswith(".yaml") else "runs"
    (place.folder / "project" / ".git").mkdir(parents=True)
    (place.folder / "outside").mkdir()
    os.symlink("../outside", place.folder / "project" / "out")
    place.write("project/gameday.toml", f'{key} = "{where}"\n')
    try:
        settings.load({"HOME": str(place.folder)}, place.folder / "project")
    except FileError as error:
        assert "leads out of the project" in str(error)
        return
    raise AssertionError("the link is followed")
