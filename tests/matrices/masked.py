"""N whole runs whose secrets are words of the run, half of them killed.

`python -m tests.matrices.masked N`.

Experiments and secrets are drawn by `--seed`. Of a killed run nothing may be left, and nothing may
be called gone that is there; of one that is not killed the files must tell the same as with any
other secret: its faults by their ids, each begun, and read back as gone. `gameday heal` has nothing
to do for either, which is exit code 0. In the end a toxic is left on purpose, with records that
name another proxy or a masked one: `gameday heal` must end with 6. Exit code 1 when any of that
fails.
"""

import argparse
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gameday.core.secrets.signing import read_or_make_key
from tests.matrices.kills import Kept, Run, Short, gameday, kept_stack, killed, look
from tests.support import wordy
from tests.support.events import event_of
from tests.support.signed import signed

EXPERIMENTS = "redis-slow,redis-down,db-slow,postgres-lock,service-kill,redis-block"


def main() -> int:
    """Run, kill every other one, look at what is left, and at what was written."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrices.masked", description=__doc__)
    parser.add_argument("runs", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--experiments", default=EXPERIMENTS)
    asked = parser.parse_args()
    shorts = [Short.load(name) for name in asked.experiments.split(",")]
    wrong = 0
    with kept_stack() as kept:
        for number in range(asked.runs):
            draw = random.Random(f"masked {asked.seed} {number}")
            short = draw.choice(shorts)
            secret = wordy.drawn(draw, short.name)
            problems = list(_one(Run(kept, short, secret), draw, kill=number % 2 == 0))
            how = "killed" if number % 2 == 0 else "whole"
            print(
                f"{number + 1:4} {short.name} with {secret!r}, {how}: {problems or 'well'}",
                flush=True,
            )
            wrong += bool(problems)
        staged = list(_left_on_purpose(kept))
    print(f"staged: {staged or 'a toxic that is there is never called gone'}")
    print(f"{asked.runs} runs, {(asked.runs + 1) // 2} of them killed: {wrong} went wrong")
    return int(wrong > 0 or bool(staged))


def _one(run: Run, draw: random.Random, *, kill: bool) -> Iterator[str]:
    if kill:
        outcome = killed(run, draw, in_fault=draw.random() < 0.75)
        yield from outcome.left
    else:
        code = run.process.wait(timeout=240)
        yield from look(run, [], (run.short.name, True, time.monotonic())).left
        if code not in (0, 1, 3):
            yield f"exit code {code}"
        yield from _not_as_any_other(run)
    yield from wordy.misread(run.dir) if run.dir is not None else []
    if run.dir is not None and (code := gameday("heal", str(run.dir))) != 0:
        yield f"gameday heal: exit code {code}"


def _not_as_any_other(run: Run) -> Iterator[str]:
    """What a run that came to its end says of its faults."""
    assert run.dir is not None
    result = json.loads((run.dir / "result.json").read_text())
    for fault in result["faults"]:
        if fault["injected_at"] is None or fault["removed_at"] is None:
            yield f"fault {fault['id']}: {fault}"
    for check in result["checks"]:
        if check["name"] in ("fault_injected", "fault_removed") and check["verdict"] == "invalid":
            yield f"{check['name']}: {check['summary']}"


def _left_on_purpose(kept: Kept) -> Iterator[str]:
    """A toxic that is there, and records of it whose names are not what they were."""
    run = "20260101T000000Z-left-here"
    name = f"gameday-{run}-1"
    path = f"{kept.toxiproxy}/proxies/redis/toxics"
    body = {"name": name, "type": "latency", "attributes": {"latency": 1}}
    described = kept.described()
    token = {"Authorization": f"Bearer {described['toxiproxy_token']}"}
    kept.client.post(path, json=body, headers=token).raise_for_status()
    shown = kept.client.get(f"{kept.toxiproxy}/proxies").json()
    names = sorted(shown)
    honest: dict[str, object] = {
        "kind": "toxic",
        "url": kept.toxiproxy,
        "proxy": "redis",
        "name": name,
    }
    honest["bearer"] = {"file": described["token_file"]}
    altered = {
        "masked proxy": {"proxy": "***", "names": ["***", "postgres"]},
        "no such proxy": {"proxy": "cache", "names": names},
        "masked name": {"name": "gameday-***-1", "names": names},
        "nobody listens": {"url": "http://127.0.0.1:1", "names": names},
    }
    try:
        for what, change in altered.items():
            code = gameday("heal", str(_journaled(kept.folder, run, what, {**honest, **change})))
            if code != 6:
                yield f"{what}: gameday heal ends with {code}, and the toxic is there"
    finally:
        kept.client.delete(f"{path}/{name}", headers=token)
    code = gameday("heal", str(_journaled(kept.folder, run, "gone", {**honest, "names": names})))
    if code != 0:
        yield f"taken out by hand: gameday heal ends with {code}"


def _journaled(folder: Path, run: str, what: str, undo: dict[str, object]) -> Path:
    """A run directory whose journal says that the fault was begun, signed as the user's own."""
    place = folder / "staged" / what.replace(" ", "-") / run
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    key = read_or_make_key(Path(os.environ["XDG_STATE_HOME"]) / "gameday")
    book = signed(place / "journal.jsonl", key)
    book.write(event_of("run.started", run=run, masked="texts"))
    book.write(
        event_of("fault.injecting", id="slow", fault="network.latency", target="redis", undo=[undo])
    )
    book.close()
    return place


if __name__ == "__main__":
    sys.exit(main())
