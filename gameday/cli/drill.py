"""`gameday drill`: training sessions; for now the commands that look back at one."""

import importlib

import click

_COMMANDS = {
    "score": "gameday.cli.drill_score:score_",
    "baselines": "gameday.cli.drill_score:baselines_",
    "forget": "gameday.cli.drill_score:forget",
}


class _LazyCommands(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_LazyCommands)
def drill() -> None:
    """Train on real incidents: score a response, measure its baselines, forget a person."""
