"""The stacks that `--stack` knows, each with what it is: the one place that compares no names.

A plain table in `core`, because settings, judge, plan and cli ask it; the classes themselves are in
`gameday.stacks` and are imported when a stack is made.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from gameday.core.errors import UsageError

_REACHED = frozenset({"traffic", "request", "toxic", "proxy", "redis", "sql", "command"})


@dataclass(frozen=True, slots=True)
class StackEntry:
    """What a stack is.

    `owned`: ours to keep healthy; it brings its Toxiproxy, and its addresses are this machine's.
    `starts_components`: a run starts it from nothing. `shares_machine`: the system takes half of
    the cores from the traffic generator. `kinds`: all kinds of change that it may be able to make.
    `in_containers`: what it starts runs in a container engine, from images and not from programs of
    this machine. `start_s`: how long a start may take, with what has to be fetched for it.
    `made_by`, and `reused_by` for one that `gameday up` left running: `module:class`, "" if none.
    """

    owned: bool
    starts_components: bool
    shares_machine: bool
    kinds: frozenset[str]
    in_containers: bool = False
    start_s: float = 90.0
    made_by: str = ""
    reused_by: str = ""


EMBEDDED: Final = "embedded"
STACKS: Final[dict[str, StackEntry]] = {
    EMBEDDED: StackEntry(
        owned=True,
        starts_components=True,
        shares_machine=True,
        kinds=_REACHED | {"process", "service", "folder"},
        made_by="gameday.stacks.embedded:EmbeddedStack",
        reused_by="gameday.stacks.persistent:PersistentStack",
    ),
    "compose": StackEntry(
        owned=True,
        starts_components=True,
        shares_machine=True,
        kinds=_REACHED
        | {"process", "service", "folder", "container", "project", "limit", "partition"},
        in_containers=True,
        start_s=900.0,  # the first start fetches and builds the images
        made_by="gameday.stacks.compose:ComposeStack",
        reused_by="gameday.stacks.persistent:PersistentComposeStack",
    ),
    "external": StackEntry(
        owned=False,
        starts_components=False,
        shares_machine=False,
        kinds=_REACHED,
        made_by="gameday.stacks.external:ExternalStack",
    ),
}


def is_owned(name: str) -> bool:
    """True but for a stack that is known to be somebody else's; "" and unknown ones are ours."""
    return name not in STACKS or STACKS[name].owned


def new_stack(name: str, *, reuse: bool, project: Any = None) -> Any:
    """The stack asked for, of a compose `project` where it is not gameday's own.

    Raises UsageError where there is none.
    """
    entry = STACKS[name]
    if reuse and not entry.reused_by:
        able = [each for each, one in STACKS.items() if one.reused_by]
        raise UsageError(f"--reuse is for the {' or '.join(able)} stack, not for {name!r}")
    if not entry.made_by:
        raise UsageError(
            f"the {name} stack is not built yet",
            help="run on the embedded stack, or start the containers and use --stack external",
        )
    module, _, made = (entry.reused_by if reuse else entry.made_by).partition(":")
    given = () if project is None else (project,)
    return getattr(import_module(module), made)(*given)
