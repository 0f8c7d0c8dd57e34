"""The logs of the containers of a project, as far as its engine has them."""

from pathlib import Path

from gameday.injection import engine
from gameday.spec.undos import ProjectUndo
from gameday.stacks.supervisor import SERVICE


def keep_logs(
    project: ProjectUndo, logs_dir: Path, *, only: str | None = None, since_s: int | None = None
) -> None:
    """Write what each container has said to `logs/<name>.log`: the service's, or one a replica.

    `only` names one service, `since_s` the second since 1970 from which on its words count. A log
    that cannot be read says so, and keeps no other from being kept.
    """
    logs_dir.mkdir(parents=True, exist_ok=True)
    with engine.of(project) as client:
        there = [e for e in engine.containers(client, project) if only in (None, e.service)]
        services = [each.service for each in there]
        for each in there:
            alone = services.count(each.service) == 1
            # Replicas of ours are counted; whatever else has one name in the files has its own.
            other = f"{SERVICE}-{each.number}" if each.service == SERVICE else each.name
            name = each.service if alone else other
            with (logs_dir / f"{name}.log").open("wb") as file:
                engine.copy_log(client, each, file, since_s)
