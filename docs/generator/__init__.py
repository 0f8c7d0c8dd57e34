"""The generator of the reference: pages made from the schemas, the parsers and the code.

    python -m docs.generator DIR

Nothing of it is written by hand, so nothing of it can be old: `make docs` calls it before Sphinx
reads the pages. A page is a name and its Markdown; `pages` makes all of them.
"""

from collections.abc import Mapping
from pathlib import Path

from docs.generator import commands, faults, figures, files


def pages() -> Mapping[str, str]:
    """Every page of the reference, by its file name."""
    return {
        "experiment.md": files.experiment_page(),
        "faults.md": faults.page(),
        "drill.md": files.drill_page(),
        "system.md": files.system_page(),
        "playbook.md": files.playbook_page(),
        "day.md": files.day_page(),
        "settings.md": figures.settings_page(),
        "commands.md": commands.page(),
        "checks.md": figures.checks_page(),
        "exit-codes.md": figures.exit_codes_page(),
        "metrics.md": figures.metrics_page(),
    }


def write(folder: Path) -> None:
    """Write the pages, and remove what is a page no more; a file that is as it was stays."""
    folder.mkdir(exist_ok=True)
    made = pages()
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
