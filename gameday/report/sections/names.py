"""Names of faults, checks and alerts as the sections write them."""

from collections.abc import Iterable
from typing import Final

from gameday.judge.result import CheckLine, FaultLine
from gameday.report import format
from gameday.report.markdown import Markup, code
from gameday.report.messages import Messages

CLOCKS: Final = ("detected", "acknowledged", "mitigated", "recovered")


def names(found: Iterable[str]) -> Markup:
    """Names as code, with commas."""
    return Markup(", ".join(code(name) for name in found))


def claim(check: str, say: Messages) -> Markup:
    """The sentence of a check that is valid, as people begin one."""
    known = f"held.{check}" in say.by_id
    return _begun(say(f"held.{check}")) if known else code(check)


def broke(check: str, say: Messages) -> Markup:
    """The sentence of a check that failed, as people begin one."""
    return _begun(broken(check, say)) if f"broke.{check}" in say.by_id else code(check)


def broken(check: str, say: Messages) -> Markup:
    """The same inside of another sentence."""
    return say(f"broke.{check}") if f"broke.{check}" in say.by_id else code(check)


def whether(check: str, say: Messages) -> Markup:
    """The question of a check, behind "whether"."""
    return say(f"whether.{check}") if f"whether.{check}" in say.by_id else code(check)


def also_broke(checks: Iterable[CheckLine], say: Messages) -> Markup:
    """Further checks that failed of one cause, each as a sentence with its reference."""
    shown = [
        say(
            "people.also_each",
            check=broken(check.name, say),
            ref=format.of_result(f"checks.{check.name}"),
        )
        for check in checks
    ]
    return Markup("; ".join(shown))


def untold(checks: Iterable[str], say: Messages) -> Markup:
    """Everything that a run cannot tell: whether this, whether that, and whether the other."""
    each = [say("summary.unknown_each", check=whether(name, say)) for name in checks]
    if len(each) < 2:
        return Markup("".join(each))
    return say("summary.and", first=Markup(", ".join(each[:-1])), last=each[-1])


def _begun(shown: Markup) -> Markup:
    return Markup(shown[:1].upper() + shown[1:])


def describe_fault(fault: FaultLine) -> Markup:
    """A fault and what it hits, in a few words."""
    target = fault.target
    return Markup(code(fault.fault) + (f" → {code(target)}" if target else ""))
