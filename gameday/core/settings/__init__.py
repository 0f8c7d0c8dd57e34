"""Settings: what a project, a user, an environment and a command line have decided, in that order.

Each later one wins: the defaults, `gameday.toml` of the project (in the current folder or the
nearest one above it, up to the root of its repository; only the current one where there is none),
the user's own `$XDG_CONFIG_HOME/gameday/config.toml`, the environment (`GAMEDAY_RUNS`,
`GAMEDAY_GENERATOR_KEPT_FROM`), options. Each value knows where it came from.

A project is often somebody else's, cloned a minute ago. So what it decides stays inside of it, and
whom gameday may reach or tell is decided by the user's own file and the command line alone.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gameday.core.errors import UsageError
from gameday.core.json_objects import Json
from gameday.core.language import LOCALE_VARIABLES, of_locale
from gameday.core.settings.keys import KEYS, OWN_CURE, OWN_ONLY, PREFIX, WHY_OWN, SettingKey, Value

PROJECT_FILE: Final = "gameday.toml"
_ROOTS: Final = (".git", ".hg", ".svn")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its value and origin."""

    values: Mapping[str, Value] = field(
        default_factory=lambda: {name: Value(key.default, "default") for name, key in KEYS.items()}
    )

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    def figures(self, name: str) -> dict[str, float]:
        """The numbers of one table, by the rest of their names."""
        named = ((key.partition("."), each.value) for key, each in self.values.items())
        return {rest: value for (table, _, rest), value in named if rest and table == name}

    def over(self, found: Mapping[str, Value]) -> "Settings":
        """These with others laid over them."""
        return Settings({**self.values, **found})

    def as_json(self) -> Mapping[str, Json]:
        """For the record: values and origins, without the paths of this machine."""
        return {
            name: {"value": each.value, "from": each.origin} for name, each in self.values.items()
        }


def load(environment: Mapping[str, str], folder: Path | None = None) -> Settings:
    """Load files and environment, as seen from `folder`. Raises UsageError, FileError."""
    from gameday.core.settings.file import read_file  # not for `--help`, which sets nothing

    settings = Settings().over(dict(_from_locale(environment)))
    project = _project_file(folder or _current_folder())
    if project is not None:
        settings = settings.over(read_file(project, "project"))
    own = user_file(environment)
    if own is not None and own.exists():
        settings = settings.over(read_file(own, "user"))
    settings = settings.over(dict(_from_environment(environment)))
    _must_agree(settings)
    return settings


def _current_folder() -> Path:
    """The current folder; one that is gone has no project, and neither has the root."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


def user_file(environment: Mapping[str, str]) -> Path | None:
    """The user's own file, whether it is there or not; None where there is no home."""
    configured, home = environment.get("XDG_CONFIG_HOME", ""), environment.get("HOME", "")
    if os.path.isabs(configured):  # a relative one would be the project's; the standard ignores it
        return Path(configured, "gameday", "config.toml")
    return Path(home, ".config", "gameday", "config.toml") if os.path.isabs(home) else None


def _project_file(folder: Path) -> Path | None:
    """`gameday.toml` of the project that `folder` is in."""
    parents = [folder, *folder.parents]
    roots = [at for at, each in enumerate(parents) if any((each / r).exists() for r in _ROOTS)]
    for each in parents[: roots[0] + 1 if roots else 1]:
        if os.path.lexists(each / PROJECT_FILE):
            return each / PROJECT_FILE
    return None


def _from_locale(environment: Mapping[str, str]) -> Iterator[tuple[str, Value]]:
    """The language of the shell: the weakest word, as it speaks of all programs and not of ours."""
    if (found := of_locale(environment)) is not None:
        yield "lang", Value(found[0], "environment", found[1])


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, Value]]:
    for name in OWN_ONLY:
        if (variable := PREFIX + name.upper()) in environment:
            problem = f"{variable}: the environment may not set it: {WHY_OWN}"
            raise UsageError(problem, help=OWN_CURE)
    for name, key in KEYS.items():
        if (found := _from_variable(environment, key)) is not None:
            yield name, found


def _from_variable(environment: Mapping[str, str], key: SettingKey) -> Value | None:
    text = environment.get(key.variable)
    if not text:
        return None
    try:
        return Value(key.read(_plain(text, key)), "environment", key.variable)
    except ValueError as error:
        raise UsageError(f"{key.variable}: {text!r} {error}", help=key.about) from None


def _language_of(environment: Mapping[str, str]) -> Mapping[str, Value]:
    """The language that a variable of ours says, none where it says no language."""
    try:
        found = _from_variable(environment, KEYS["lang"])
    except UsageError:
        return {}
    return {} if found is None else {"lang": found}


def _plain(text: str, key: SettingKey) -> Any:
    """A variable's text as a number where the setting is one."""
    if key.schema.get("type") not in ("number", "integer"):
        return text
    try:
        return int(text) if key.schema["type"] == "integer" else float(text)
    except ValueError:
        raise ValueError("is not a number") from None


def _must_agree(settings: Settings) -> None:
    low, high = settings["generator.limited_below"], settings["generator.kept_from"]
    if low > high:
        problem = f"generator.limited_below ({low:g}) is above generator.kept_from ({high:g})"
        where = settings.values["generator.limited_below"].where
        raise UsageError(
            f"{where}{': ' * bool(where)}{problem}", help="swap them, or leave one out"
        )


class Deciding:
    """The settings of this process: the defaults, until its command line has files read."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._reads = False
        self._chosen: dict[str, Value] = {}

    def begin(self) -> None:
        """A command line begins: files are read when the first setting is asked for."""
        self._settings, self._reads, self._chosen = None, True, {}

    def end(self) -> None:
        """The command line is over: the defaults again, for a process that goes on."""
        self._settings, self._reads, self._chosen = None, False, {}

    def choose(self, name: str, value: Any, option: str) -> None:
        """An option has decided it."""
        self._chosen[name] = Value(value, "option", option)

    def now(self) -> Settings:
        """As they are. Raises UsageError, FileError where a file is wrong."""
        if self._settings is None:
            self._settings = load(os.environ) if self._reads else Settings()
        return self._settings.over(self._chosen) if self._chosen else self._settings

    def language(self) -> str:
        """The language of the screen. A file that is wrong decides none.

        Every command says something, so `stop` and `heal` would need a right file else. Whatever
        needs another setting tells what is wrong.
        """
        try:
            return str(self.now()["lang"])
        except UsageError:
            found = {**dict(_from_locale(os.environ)), **_language_of(os.environ), **self._chosen}
            return str(Settings().over(found)["lang"])


_deciding = Deciding()
begin, end = _deciding.begin, _deciding.end
choose, current = _deciding.choose, _deciding.now


def language() -> str:
    """The language in which people read what this process says. Decided here, and nowhere else."""
    return _deciding.language()


def must_name_language() -> None:
    """Raise UsageError where our variable for the language names none."""
    _from_variable(os.environ, KEYS["lang"])


def chosen_language() -> str | None:
    """The language that somebody chose for gameday; None where only the locale says one."""
    found = current().values["lang"]
    by_locale = found.origin == "default" or found.where in LOCALE_VARIABLES
    return None if by_locale else str(found.value)


def json_schema() -> Json:
    """The JSON Schema of gameday.toml and config.toml."""
    every = {
        name: {**key.schema, "description": key.about}
        | ({} if key.default is None else {"default": key.default})
        for name, key in KEYS.items()
    }
    properties = {name: one for name, one in every.items() if "." not in name}
    for table in dict.fromkeys(name.partition(".")[0] for name in every if "." in name):
        inside = {n.partition(".")[2]: one for n, one in every.items() if n.startswith(f"{table}.")}
        properties[table] = {"type": "object", "additionalProperties": False, "properties": inside}
    return {
        "title": "Settings",
        "description": f"{PROJECT_FILE}, or the user's gameday/config.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
