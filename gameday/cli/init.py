"""`gameday init`: the system file and the first experiment of a system that gameday does not know.

It asks in a terminal, and takes options everywhere. What it sends is one request to the address
that was named, and one to the audit where there is one; nothing is sent to an address that is not
allowed, and no file is ever overwritten.
"""

import os
import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gameday.cli.options import allow_target
from gameday.cli.terminal import ask, ask_number, can_ask, echo, is_agreed
from gameday.core.errors import FileError, UsageError
from gameday.core.files.private import as_asked

if TYPE_CHECKING:
    from gameday.core.network.allow_list import Allowed
    from gameday.plan.first_files.asked import InitRequest
    from gameday.plan.first_files.openapi import ApiDocument
    from gameday.plan.first_files.sketch import Sketch

SYSTEM: Final = "system.yaml"
FIRST: Final = "first.yaml"
_MOST_ASKED: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOptions:
    """The command line of `init`."""

    folder: Path
    url: str | None
    method: str | None
    body: str | None
    form: str | None
    headers: tuple[str, ...]
    audit: str | None
    campaign: str | None
    stock: int | None
    openapi: str | None
    operation: str | None
    compose: Path | None
    service: str | None
    name: str | None
    no_request: bool
    twice: bool
    run: bool
    allowed: "Allowed"

    @property
    def says_something(self) -> bool:
        """True if it names a source, so that nothing has to be asked."""
        return any((self.url, self.openapi, self.compose))


@click.command()
@click.argument(
    "folder", default=".", type=click.Path(path_type=Path, file_okay=False), metavar="[DIR]"
)
@click.option("--url", help="The address of the request that issues; with --openapi, the base.")
@click.option("--method", type=click.Choice(["get", "post", "put", "patch", "delete"]))
@click.option("--json", "body", metavar="BODY", help="Its JSON, an example as you would send it.")
@click.option("--form", metavar="BODY", help="Its form, as a=1&b=2, instead of --json.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Repeatable.")
@click.option("--audit", metavar="PATH", help="A GET that lists who got one.")
@click.option(
    "--campaign", metavar="YAML", help="Makes a fresh campaign: a request, or create and capture."
)
@click.option("--stock", type=click.IntRange(0, 100_000_000), help="How many there are in all.")
@click.option("--openapi", metavar="FILE|URL", help="Take the request from an OpenAPI document.")
@click.option("--operation", metavar="'POST /path'", help="Which of its operations issues.")
@click.option(
    "--compose",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Take address, dependencies and stores from a compose file.",
)
@click.option("--service", metavar="NAME", help="Which of its services is asked.")
@click.option("--name", help="How reports call the system.")
@click.option("--no-request", is_flag=True, help="Send nothing, not even the one request.")
@click.option(
    "--twice", is_flag=True, help="Ask once more as the same user, to see what that says."
)
@click.option("--run", is_flag=True, help="Run the first experiment at once: 60 requests in 12 s.")
@allow_target("A host that is not this machine and may be asked. Can be repeated.")
@click.pass_context
def init(ctx: click.Context, /, **options: Any) -> None:
    r"""Make the system file and the first experiment of your own system in DIR.

    An example is enough: values called user, memberId, code and their like become placeholders.
    It sends this request ONCE (--twice: twice), for a user of its own, and proposes outcomes from
    the answer.

    \b
      gameday init --url http://127.0.0.1:8080/orders --json '{"memberId": "7", "code": "SALE"}'
      gameday init --openapi http://127.0.0.1:8000/openapi.json
      gameday init --compose compose.yml

    Without any of these it asks, in a terminal. No file is overwritten. docs/own-system.md
    """
    asked = InitOptions(**options)
    files = [asked.folder / SYSTEM, asked.folder / FIRST]
    _must_be_free(files)
    if not asked.says_something:
        asked = _questions(asked)
    sketch = _sketch(asked)
    texts = _texts(sketch)
    _write(dict(zip(files, texts, strict=True)))
    _summary(sketch, files)
    if asked.run:
        ctx.exit(_run(asked, sketch, files))
    _next(sketch, files)


def _must_be_free(files: list[Path]) -> None:
    """Refuse before anything is sent. Raises UsageError."""
    for path in files:
        if os.path.lexists(path):
            raise UsageError(
                f"{path} is there already, and init overwrites nothing",
                help=f"name a new folder: gameday init {path.parent / 'my-system'} …",
            )


def _questions(asked: InitOptions) -> InitOptions:
    """Ask what the command line does not say. Raises UsageError where nobody can be asked."""
    if not can_ask():
        raise UsageError(
            "nothing is said of the system, and there is no terminal to ask in",
            help='gameday init --url http://127.0.0.1:8080/orders --json \'{"user": "7"}\';'
            " or --openapi, or --compose",
        )
    url = ask("The address of the request that issues (http://HOST:PORT/path)")
    method = asked.method or ask("Its method", "post").lower()
    body, form = asked.body, asked.form
    if body is None and form is None and method != "get":
        given = ask("Its body, on one line: JSON, or a=1&b=2 (empty: none)", "")
        body, form = (given, None) if given[:1] in ("{", "[", '"') else (None, given or None)
    audit = asked.audit or ask("The path that lists who got one (empty: none)", "") or None
    sends = asked.no_request or not is_agreed(f"Send it once to {url}?", default=True)
    return replace(
        asked, url=url, method=method, body=body, form=form, audit=audit, no_request=sends
    )


def _sketch(asked: InitOptions) -> "Sketch":
    """Everything that can be known now. Raises UsageError."""
    from gameday.core.network import event_loop
    from gameday.plan.first_files.asked import InitRequest, read_document
    from gameday.plan.first_files.trial import try_once

    question = InitRequest(**{each.name: getattr(asked, each.name) for each in fields(InitRequest)})
    secrets = question.secrets(os.environ)
    api = event_loop.run(read_document(question, asked.allowed), asked.allowed)
    sketch = _gathered(question, api)
    if asked.no_request:
        return replace(sketch, notes=(*sketch.notes, "nothing was sent: the outcomes are guesses"))
    if not question.gives(sketch.base_url) and not _may_be_sent(asked, sketch):
        note = (
            f"nothing was sent to {sketch.base_url}, which only a file names: the outcomes are"
            f" guesses; --url {sketch.base_url} sends the request once"
        )
        return replace(sketch, notes=(*sketch.notes, note))
    environment = {**os.environ, **secrets}
    if asked.run:
        os.environ.update(secrets)
    named = asked.url is not None or asked.openapi is not None
    tried = try_once(sketch, asked.allowed, environment, must_answer=named, twice=asked.twice)
    return event_loop.run(tried, asked.allowed)


def _may_be_sent(asked: InitOptions, sketch: "Sketch") -> bool:
    """Whether somebody agrees to an address that they did not give: a file may be anybody's.

    Raises UsageError where nobody can be asked and more than a look was wanted.
    """
    if can_ask():
        return is_agreed(f"Send it once to {sketch.base_url}, which only a file names?")
    for option, is_asked in (("--run", asked.run), ("--twice", asked.twice)):
        if is_asked:
            raise UsageError(
                f"{option}: nothing is sent to {sketch.base_url}, which only a file names",
                help=f"if it is yours: --url {sketch.base_url}",
            )
    return False


def _gathered(question: "InitRequest", api: "ApiDocument | None") -> "Sketch":
    """Gather, and ask which is meant where that is not clear and somebody can be asked."""
    from gameday.plan.first_files.asked import gather
    from gameday.plan.first_files.compose_file import UnclearServiceError
    from gameday.plan.first_files.openapi import UnclearError

    try:
        return gather(question, api)
    except (UnclearError, UnclearServiceError) as error:
        if not can_ask():
            raise
        if isinstance(error, UnclearError):
            lines = [each.line for each in error.ranked[:_MOST_ASKED]]
            return _gathered(replace(question, operation=_choose(error.message, lines)), api)
        names = list(error.names[:_MOST_ASKED])
        return _gathered(replace(question, service=_choose(error.message, names)), api)


def _choose(question: str, lines: list[str]) -> str:
    """One of several, by its number."""
    echo(question, err=True)
    for number, line in enumerate(lines, 1):
        echo(f"  {number}  {line}", err=True)
    return lines[ask_number("Which", len(lines)) - 1]


def _texts(sketch: "Sketch") -> tuple[str, str]:
    """The two files, read back as `gameday validate` reads them. Raises UsageError."""
    from gameday.plan.first_files.written import experiment_text, system_text

    texts = system_text(sketch, os.environ), experiment_text(sketch)
    try:
        _validated(*texts)
    except FileError as error:
        raise UsageError(f"this makes no valid file: {error.problem}", help=error.help) from error
    return texts


def _validated(system_text: str, experiment_text: str) -> None:
    """Raises FileError for what `gameday validate` would refuse."""
    from gameday.plan.validate import validate_alone
    from gameday.spec.experiment import Experiment
    from gameday.spec.inputs import Inputs, LoadedExperiment, LoadedSystem
    from gameday.spec.system import System
    from gameday.spec.yaml import compose

    document = compose(system_text, SYSTEM)
    system = LoadedSystem(document.parse(System), Path(SYSTEM), document.raw, document)
    other = compose(experiment_text, FIRST)
    experiment = LoadedExperiment(other.parse(Experiment), Path(FIRST), other.raw, other)
    validate_alone(Inputs(experiment, system))


def _write(texts: dict[Path, str]) -> None:
    """Make the files; none that is there is touched. Raises UsageError."""
    for path, text in texts.items():
        try:
            with as_asked():
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("x", encoding="utf-8") as file:
                    file.write(text)
        except FileExistsError as error:
            raise UsageError(f"{path} is there already, and init overwrites nothing") from error
        except OSError as error:
            problem = f"{path}: cannot be written: {error.strerror}"
            raise UsageError(problem, help="name another folder") from error


def _summary(sketch: "Sketch", files: list[Path]) -> None:
    """Print what was seen, made and left open."""
    from gameday.plan.first_files.outlook import judges, lacks

    echo(f"{sketch.request.line} of {sketch.base_url}")
    if sketch.seen:
        echo(f"  it answered {sketch.seen}")
    for note in sketch.notes:
        echo(f"  note: {note}")
    echo(f"made {files[0]} and {files[1]}")
    echo("A run of them judges")
    for line in judges(sketch):
        echo(f"  - {line}")
    echo("It lacks, and so says nothing of")
    for what, key in lacks(sketch):
        echo(f"  - {what}: gameday explain {key}")


def _where(sketch: "Sketch", files: list[Path]) -> str:
    """The options that name the stack and the file."""
    words = ["--stack", "external" if sketch.project is None else "compose"]
    words += ["--system", str(files[0])]
    if sketch.project is not None:
        words += ["--compose-file", sketch.project.file]
        words += ["--service-map", sketch.project.service_map]
    return shlex.join(words)


def _next(sketch: "Sketch", files: list[Path]) -> None:
    """The last line: what to type now."""
    where = _where(sketch, files)
    echo(f"next: gameday plan {shlex.quote(str(files[1]))} {where}")


def _run(asked: InitOptions, sketch: "Sketch", files: list[Path]) -> int:
    """The first experiment and its verdict; the exit code."""
    from datetime import timedelta

    from gameday.cli.run import RunOptions, judge_run, run_experiment
    from gameday.core import settings

    if sketch.project is not None:
        _next(sketch, files)
        cure = "it starts your containers, so type it yourself: the line above"
        raise UsageError("--run is for a system that is there", help=cure)
    options = RunOptions(
        stack="external",
        compose_file=None,
        service_map=None,
        share_volumes=False,
        system=str(files[0]),
        runs_dir=Path(settings.current()["runs"]),
        short=False,
        reuse=False,
        allowed=asked.allowed,
        webhook_listen=None,
        seed=None,
        responder=None,
        no_responder=False,
        responder_delay=timedelta(seconds=1),
        force=False,
        as_json=False,
    )
    folder = run_experiment(str(files[1]), options)
    code = judge_run(folder, as_json=False)
    echo("next: mend what it lacks (gameday explain KEY), or break something: gameday faults")
    return code
