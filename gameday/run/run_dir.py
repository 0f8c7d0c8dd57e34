"""The run directory at its beginning: what was asked for, byte by byte, and who we are.

`inputs/` holds the files as they were read; `effective.json` what they mean here: the short
form applied, defaults, seed and fault ids filled in, and the stack's addresses. Judging and
reporting read only that. No secret is in it: the system file has none.
"""

import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from gameday.core import settings
from gameday.core.clock import utc_now
from gameday.core.files.private import make_folder
from gameday.evidence import sealed_inputs
from gameday.evidence.effective import Effective, PlannedPlaybook, PlannedUsers
from gameday.evidence.sealed_inputs import OFFERED
from gameday.run.context import Options
from gameday.run.drill import DrillHooks
from gameday.spec.experiment import Experiment
from gameday.spec.inputs import Inputs, LoadedSystem
from gameday.spec.playbook import Playbook
from gameday.spec.system import System
from gameday.spec.users import id_column
from gameday.spec.yaml import read_bytes
from gameday.telemetry.failures import failed_outcomes
from gameday.traffic.forecast import planned_starts, scenarios_of, traffic_end_s

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def new_run_id(name: str) -> str:
    """`20261123T083000Z-redis-slow-k3f9`."""
    tail = "".join(secrets.choice(ALPHABET) for _ in range(4))
    return f"{utc_now():%Y%m%dT%H%M%SZ}-{name}-{tail}"


def coupon_of(experiment: Experiment, system: System, run: str) -> str:
    """The campaign's code: the run's own where campaigns can be created, so runs never meet."""
    coupon = experiment.campaign.coupon
    if system.campaign is None:
        return coupon
    stamp, tail = run.split("-")[0], run.split("-")[-1]
    return f"{coupon}-{stamp}-{tail}"


def lay_out(
    runs_dir: Path, run: str, inputs: Inputs, drill: DrillHooks | None = None
) -> tuple[Path, dict[str, str]]:
    """Make the run directory with the inputs in it; their SHA-256 by name.

    Those of a drill are sealed, and have no sum: it would tell which of the shipped ones it is.
    """
    folder = make_folder(runs_dir / run)
    for name in ("history", "logs") if drill is not None else ("inputs/rules", "history", "logs"):
        (folder / name).mkdir(parents=True)
    raws = _raws(inputs)
    if drill is not None:
        sealed_inputs.pack(folder, drill.box, raws)
        write_offered(folder, drill.playbooks)
        return folder, {}
    for name, raw in raws.items():
        (folder / "inputs" / name).write_bytes(raw)
    return folder, {name: hashlib.sha256(raw).hexdigest() for name, raw in raws.items()}


def command_files(inputs: Inputs, folder: Path) -> list[Path]:
    """The files that have the system's commands: its own, and the run's copy if it is in the open.

    Whoever undoes a command later finds it in either, whatever becomes of the first meanwhile.
    """
    copy = folder / "inputs" / "system.yaml"
    return [inputs.system.path, *([copy] if copy.exists() else [])]


def write_offered(folder: Path, books: Sequence[Playbook]) -> None:
    """Write all playbooks that a drill offers, in the open and each as the others.

    Whoever looked them up where they come from would find all but that of an experiment of
    somebody's own, and would know which one it is.
    """
    inside = folder / OFFERED
    inside.mkdir(parents=True)
    for book in books:
        (inside / f"{book.head.name}.md").write_bytes(book.text.encode())


def _raws(inputs: Inputs) -> dict[str, bytes]:
    """The files of a run byte for byte, by their names below `inputs/`."""
    raws = {"experiment.yaml": inputs.experiment.raw, "system.yaml": inputs.system.raw}
    if inputs.playbook is not None:
        raws["playbook.md"] = inputs.playbook.raw
    for path in inputs.rules:
        same = f"rules/{path.name}" in raws  # from another folder
        raws[f"rules/{len(raws)}-{path.name}" if same else f"rules/{path.name}"] = read_bytes(path)
    return raws


def _users(loaded: LoadedSystem) -> PlannedUsers | None:
    """Sum, columns and number of the users that a file holds."""
    named, table = loaded.system.users, loaded.users
    if named is None or table is None:
        return None
    column = id_column(named, loaded.system.requests.issue, table.columns)
    return PlannedUsers(
        sha256=table.sha256, rows=table.rows, columns=list(table.columns), id=column
    )


def write_effective(
    folder: Path,
    inputs: Inputs,
    system: System,
    options: Options,
    *,
    stock: int | None,
    coupon: str | None = None,
    drill: DrillHooks | None = None,
) -> None:
    """`inputs/effective.json`, with the addresses and the stock as far as they are known.

    `coupon` is the code of the campaign where the system made it up.

    That of a drill has the names of the file, and is sealed with the other inputs.
    """
    experiment = inputs.experiment.experiment if drill is None else drill.real
    effective = Effective(
        run=folder.name,
        stack=options.stack,
        seed=experiment.seed or 0,
        coupon=coupon or coupon_of(inputs.experiment.experiment, system, folder.name),
        stock=stock,
        short=inputs.experiment.short,
        experiment=experiment,
        system=system,
        playbook=PlannedPlaybook.of(inputs.playbook.playbook) if inputs.playbook else None,
        traffic_end_s=traffic_end_s(experiment),
        no_responder=options.responder.kind == "none",
        responder=options.responder.kind,
        responder_delay_s=options.responder_delay_s,
        planned=planned_starts(scenarios_of(experiment)),
        users=_users(inputs.system),
        failed=failed_outcomes(experiment),
        left_over=True,
        settings=settings.current().as_json(),
    )
    raw = json.dumps(effective.as_json(), indent=1) + "\n"
    if drill is not None:
        inside = {**_raws(inputs), "effective.json": raw.encode()}
        sealed_inputs.pack(folder, drill.box, inside)
        return
    (folder / "inputs" / "effective.json").write_text(raw)
