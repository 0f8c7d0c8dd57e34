"""The list of attacks: each a kind, a name, and a function of the place where it happens."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import tests.attacks
from tests.attacks.place import Place

LONGEST_S = 60.0
_FOUND: dict[str, "Attack"] = {}


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack; `run` raises when gameday fell. `slow`: left out of the sample."""

    name: str
    kind: str
    run: Callable[[Place], None]
    longest_s: float
    slow: bool


def attack(
    kind: str,
    cases: Mapping[str, Any] | None = None,
    *,
    longest_s: float = LONGEST_S,
    slow: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as an attack, or as one for each of `cases`, which it is then given.

    A case is an argument beside the place, by its name. An attack that takes longer than
    `longest_s` seconds counts as fallen: it hangs.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        for case, value in ({"": None} if cases is None else cases).items():
            name = "/".join(filter(None, [kind, function.__name__, case]))
            assert name not in _FOUND, f"two attacks are called {name}"
            run = function if cases is None else partial(_on, function, value)
            _FOUND[name] = Attack(name, kind, run, longest_s, slow)
        return function

    return register


def _on(function: Callable[[Place, Any], None], value: Any, place: Place) -> None:
    function(place, value)


def all_attacks() -> list[Attack]:
    """Every attack of every module `on_*`, in the order of their names."""
    for module in pkgutil.iter_modules(tests.attacks.__path__):
        if module.name.startswith("on_"):
            importlib.import_module(f"tests.attacks.{module.name}")
    return [_FOUND[name] for name in sorted(_FOUND)]
