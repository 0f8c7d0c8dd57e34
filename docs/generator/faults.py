"""The page of the faults: each with what it needs, what takes it out, and its keys.

What a fault needs is asked of the changes that it makes, as `gameday plan` asks: the key that the
system file must have, and the stacks that can make changes of that kind. Its example is a line of
a shipped experiment; where none has it, its required keys with the schema's own examples.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from docs.generator.files import shipped
from gameday.cli.key_markdown import block, code, paragraphs, prose
from gameday.cli.key_reference import Reference, flow
from gameday.core.stack_registry import STACKS
from gameday.spec.changes import Change
from gameday.spec.faults import Fault, catalogue
from gameday.spec.faults.catalogue import CLASSES, SHARED, name_of, plain_example


def example(fault: type[Fault]) -> Mapping[str, Any]:
    """A line of a method that has this fault, as a file writes it."""
    name = name_of(fault)
    for each in shipped("experiments/*.yaml"):
        for line in each.get("method", ()):
            if line["fault"] == name:
                return dict(line)
    plain: Mapping[str, Any] = plain_example(fault)
    return plain


def changes(fault: type[Fault]) -> list[Change]:
    """The changes that its example makes."""
    return catalogue.changes(example(fault))


def page() -> str:
    """The page of all faults."""
    lines = ["# Faults\n", paragraphs(_INTRO) + "\n", "## Keys that every fault has\n"]
    lines += _keys(Fault, only=SHARED)
    for fault in CLASSES:
        lines += _section(fault)
    return "\n".join(lines)


_INTRO: Final = """Each is a line of `method` in an experiment. `gameday plan` says of an
experiment what its faults touch and what undoes them, and touches nothing."""


def _section(fault: type[Fault]) -> Iterator[str]:
    yield f"## {code(name_of(fault))}\n"
    yield paragraphs(fault.__doc__ or "") + "\n"
    made = changes(fault)
    kinds = {change.kind for change in made}
    able = [name for name, entry in STACKS.items() if kinds <= entry.kinds]
    needs = [change.needs for change in made if change.needs]
    yield f"- **Stacks:** {', '.join(map(code, able))}"
    if needs:
        named = ", ".join(map(code, dict.fromkeys(needs)))
        yield f"- **Needs in the system file, where the stack does not bring it:** {named}"
    undone = dict.fromkeys(prose(str(change.undone_by())) for change in made)
    yield f"- **Taken out by:** {'; '.join(undone)}\n"
    yield from _keys(fault, but=SHARED)
    yield block("yaml", f"method:\n  - {flow_of(example(fault))}")


def flow_of(line: Mapping[str, Any]) -> str:
    """A line of a method on one line; one that is too long for that, key by key."""
    return flow(line) or "\n    ".join(f"{key}: {flow(value)}" for key, value in line.items())


def reference(fault: type[Fault]) -> Reference:
    """The keys of a fault, with the values of its example."""
    found = Reference(fault.model_json_schema(by_alias=True))
    found.learn(example(fault))
    return found


def _keys(
    fault: type[Fault], *, only: tuple[str, ...] = (), but: tuple[str, ...] = ()
) -> Iterator[str]:
    schema = dict(fault.model_json_schema(by_alias=True))
    keys = {
        key: each
        for key, each in schema["properties"].items()
        if key not in but and (not only or key in only)
    }
    if keys:
        found = Reference({**schema, "properties": keys, "description": ""})
        if fault is not Fault:
            found.learn(example(fault))
        yield from found.sections()
