"""Baselines of a score: the harm of nobody, and that of a perfect responder, on the same seed.

They are copied into the run directory (`baselines/nothing.json`, `baselines/perfect.json`), so that
a score is a function of it alone. Each says how it was made: measured by a real run of the same
plan on this machine, or by the simulation, which is rougher (`drills/simulation.py`), or guessed by
it: of a fault that was never measured, nothing is scored.

They are made after the run has ended, so its seal does not hold them: each is signed with the
user's key, as a record is. One that our own key did not sign as it stands there is unknown; one
that it did not sign at all counts, as a foreign run does, and is never said to be measured.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

from gameday.core import files
from gameday.core.errors import GamedayError, UnknownError
from gameday.core.files.private import state_dir
from gameday.core.json_objects import plain, read_object
from gameday.core.secrets.signing import (
    RecordPosition,
    SigningKey,
    key_named,
    read_key,
    read_or_make_key,
)
from gameday.evidence.journal import run_of
from gameday.judge.harm import HarmRecord

BaselineKind = Literal["nothing", "perfect"]
Made = Literal["measured", "simulated", "guessed", "unsigned"]
KINDS: Final = get_args(BaselineKind)
LARGEST_BYTES: Final = 16 * files.MIB  # a day of seconds has 2 MB
_CURES: Final = "gameday drill baselines RUN measures both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The harm of nobody, or of a perfect responder. `run` is the run that it was measured in.

    `total` is the integral over all of its seconds.
    """

    kind: BaselineKind
    made: Made
    how: str
    seed: int
    run: str = ""
    schema: int = 1
    harm: HarmRecord
    total: float = 0.0
    signature: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", self.harm.curve.harm)

    def to_bytes(self) -> bytes:
        """The file, byte for byte."""
        return json.dumps(plain(self), indent=1).encode() + b"\n"


Baselines = Mapping[str, Baseline]


def path_of(run_dir: Path, kind: str) -> Path:
    """The file of a baseline."""
    return run_dir / "baselines" / f"{kind}.json"


def read_baselines(run_dir: Path) -> Baselines:
    """Baselines that the run directory has. Raises UnknownError for one that cannot be read."""
    found = {}
    for kind in KINDS:
        path = path_of(run_dir, kind)
        try:
            raw = json.loads(files.read_bytes(path, LARGEST_BYTES))
            found[kind] = _vouched(run_dir, _sound(read_object(Baseline, raw), kind))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            raise UnknownError(f"{path}: {error}", help=_CURES) from error
    return found


def write_baseline(run_dir: Path, baseline: Baseline) -> None:
    """Keep one in the run directory. Raises OSError."""
    path = path_of(run_dir, baseline.kind)
    path.parent.mkdir(exist_ok=True)
    key = _own_key(read_or_make_key)
    if key is not None:
        signature = key.sign(_position(run_dir, baseline.kind), baseline.to_bytes())
        baseline = replace(baseline, signature=signature)
    files.replace(path, [baseline.to_bytes()])


def _vouched(run_dir: Path, read: Baseline) -> Baseline:
    """The baseline without its signature. Raises ValueError for one that was altered."""
    key, signature = _own_key(read_key), read.signature or ""
    baseline = replace(read, signature=None)
    if key is not None and key_named(signature) == key.name:
        if key.signed(_position(run_dir, read.kind), baseline.to_bytes(), signature):
            return baseline
        raise ValueError("it was altered, or copied from another run")
    if baseline.made == "guessed":
        return baseline
    whose = f"signed with the key {key_named(signature)}" if signature else "not signed"
    return replace(baseline, made="unsigned", how=f"{whose}: {baseline.how}")


def _position(run_dir: Path, kind: str) -> RecordPosition:
    return RecordPosition(run_of(run_dir / "baselines"), f"baselines/{kind}.json", 0)


def _own_key(read: Callable[[Path], SigningKey]) -> SigningKey | None:
    """The user's key; None where there is none that can be used."""
    try:
        return read(state_dir())
    except GamedayError:
        return None


def _sound(baseline: Baseline, kind: str) -> Baseline:
    """Raises ValueError for one that is another's, or whose seconds cannot be."""
    if baseline.kind != kind:
        raise ValueError(f"it is the baseline {baseline.kind!r}")
    for curve in (baseline.harm.curve, baseline.harm.before):
        columns = (curve.due, curve.failed, curve.slow, curve.wrong)
        if len(set(map(len, columns))) > 1 or any(n < 0 for each in columns for n in each):
            raise ValueError("its seconds are not whole")
    return baseline
