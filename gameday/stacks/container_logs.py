"""The logs of the containers of a project, as far as its engine has them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gameday.evidence.service_logs import is_service_log, loss
from gameday.injection import engine
from gameday.injection.engine import Container
from gameday.spec.undos import ProjectUndo
from gameday.stacks.supervisor import SERVICE

_GONE: Final = "its container was removed while the run went on, and its log with it"


def keep_logs(
    project: ProjectUndo,
    logs_dir: Path,
    *,
    seen: Sequence[Container] = (),
    only: str | None = None,
    since_s: int | None = None,
) -> None:
    """Write what each container has said to `logs/<name>.log`: the service's, or one a replica.

    `seen` are those that there were; the log of one that is gone went with it, which its file says.
    `only` names one service, `since_s` the second since 1970 from which on its words count. A log
    that cannot be read says so, and keeps no other from being kept.
    """
    logs_dir.mkdir(parents=True, exist_ok=True)
    with engine.of(project) as client:
        there = {each.id: each for each in engine.containers(client, project)}
        gone = [each for each in seen if each.id not in there]
        meant = [e for e in (*there.values(), *gone) if only in (None, e.service)]
        named = _named(meant, [each for each in meant if each.id in there])
        for name, each in named.items():  # whatever keeps one from being read is no silence of it
            why = "it was not read" if each.id in there else _GONE
            (logs_dir / f"{name}.log").write_bytes(loss(each.name, why))
        for name, each in named.items():
            if each.id in there:
                with (logs_dir / f"{name}.log").open("wb") as file:
                    engine.copy_log(client, each, file, since_s)


def _named(containers: Sequence[Container], there: Sequence[Container]) -> Mapping[str, Container]:
    """The containers by the names of their files: those of the service's are for it alone.

    Its replicas are counted; whatever else has one name with others has its own.
    """
    named: dict[str, Container] = {}
    services = [each.service for each in there]
    for each in containers:
        alone = each in there and services.count(each.service) == 1
        name = each.service if alone else each.name
        if each.service == SERVICE and not alone:
            number = each.number
            while (name := f"{SERVICE}-{number}") in named:
                number += 1  # two services of a file call, or one was put in the place of another
        elif each.service != SERVICE and is_service_log(f"{name}.log"):
            name = f"other-{name}"
        named[name] = each
    return named
