"""The reference: whole, true, and made of nothing but the code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]
import pytest
from markdown_it import MarkdownIt
from pydantic import TypeAdapter

from docs.generator import commands, faults, figures, files, pages, write
from gameday.cli import key_markdown as markdown
from gameday.cli import key_reference as schema
from gameday.core.errors import ExitCode
from gameday.core.settings.keys import KEYS
from gameday.judge.checks import CHECKS
from gameday.plan.rules.expressions import TRAFFIC_METRICS
from gameday.spec.faults import AnyFault, catalogue
from gameday.traffic import thresholds

HEAD, STEP = files.playbook()
REFERENCES = {
    "experiment": files.experiment(),
    "drill": files.drill(),
    "system": files.system(),
    "day": files.day(),
    "playbook head": HEAD,
    "playbook step": STEP,
    **{catalogue.name_of(each): faults.reference(each) for each in catalogue.CLASSES},
}
OF_OTHERS = {"short", "drill", "dependencies", "actions", "env", "hypotheses", "target", "id"}
"""Keys whose example would be a file of its own; a fault's shared ones are those of `Fault`."""


def keys(name: str) -> Iterator[tuple[str, str, schema.Schema]]:
    yield from REFERENCES[name].every_key()


@pytest.mark.parametrize("name", REFERENCES)
def test_every_key_has_a_meaning_and_an_example(name: str) -> None:
    reference = REFERENCES[name]
    places = {place: mapping for mapping, place in reference.places.items()}
    count = 0
    for place, key, each in keys(name):
        mapping = places[place]
        count += 1
        assert reference.meaning(mapping, key, each), f"{place}.{key}: give it a description"
        link = "](#" in reference.type_of(each) or "faults.md" in reference.type_of(each)
        says = schema.says_its_values(each) or link or key in OF_OTHERS
        example = reference.example(mapping, key, each)
        assert says or example, f"{place}.{key}: give it examples=[…], or use it in a shipped file"
    assert count


@pytest.mark.parametrize("name", REFERENCES)
def test_the_examples_of_a_schema_are_values_that_it_takes(name: str) -> None:
    reference = REFERENCES[name]
    for place, key, each in keys(name):
        whole = {**each, "$defs": reference.root.get("$defs", {})}
        for example in each.get("examples", ()):
            jsonschema.Draft202012Validator(whole).validate(example), (place, key)


@pytest.mark.parametrize("fault", catalogue.CLASSES, ids=catalogue.name_of)
def test_a_fault_has_its_section_with_a_line_that_loads(fault: type[Any]) -> None:
    name = catalogue.name_of(fault)
    section = faults.page().split(f"## `{name}`\n")[1].split("\n## ")[0]
    assert re.search(r"- \*\*Stacks:\*\* `\w+`", section)
    assert "- **Taken out by:** " in section
    line = faults.example(fault)
    loaded: Any = TypeAdapter(AnyFault).validate_python(line)
    assert type(loaded) is fault
    assert markdown.block("yaml", f"method:\n  - {faults.flow_of(line)}") in section


def test_a_fault_says_what_it_needs() -> None:
    text = faults.page()
    lock = text.split("## `postgres.lock`\n")[1].split("\n## ")[0]
    assert "bring it:** `stores.postgres`" in lock
    partition = text.split("## `network.partition`\n")[1].split("\n## ")[0]
    assert "- **Stacks:** `compose`\n" in partition


def test_every_command_and_each_of_its_options_is_there() -> None:
    text = commands.page()
    found = list(commands.every())
    assert len(found) > 40
    for inside in found:
        section = text.split(f" `{inside.command_path}`\n")[1].split("\n# ")[0]
        for param in inside.command.params:
            for name in param.opts if param.param_type_name == "option" else ():
                assert name in section or getattr(param, "hidden", False), (inside, name)


def test_every_check_code_setting_and_metric_is_there() -> None:
    checks, codes = figures.checks_page(), figures.exit_codes_page()
    assert all(f"| `{name}` |" in checks for name in CHECKS)
    assert "[Reading a verdict](../verdict.md)" in checks
    assert [int(found) for found in re.findall(r"^\| (\d+) \|", codes, re.MULTILINE)] == [*ExitCode]
    assert all(f"`{key.variable}`" in figures.settings_page() for key in KEYS.values())
    metrics = figures.metrics_page()
    assert thresholds.MEANINGS.keys() == thresholds.METRICS.keys()
    assert all(f"| `{name}` |" in metrics for name in (*thresholds.METRICS, *thresholds.SERIES))
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in TRAFFIC_METRICS} == set(
        thresholds.SERIES
    )
    assert "| `issuance_requests` | counter | Issue requests by outcome. |" in metrics


def test_an_experiment_s_nested_mappings_have_sections_of_their_own() -> None:
    text = files.experiment_page()
    for title in ("expect.alerts[]", "traffic.NAME (ramping-vus)", "traffic.NAME.retries"):
        assert f"## `{title}`\n" in text
    assert set(get_args(get_args(AnyFault)[0])) == set(catalogue.CLASSES)
    assert "| `fires_within` | duration | **required** |" in text


def test_every_link_inside_the_reference_leads_to_a_heading() -> None:
    from docs.generator.links import anchors

    for name, text in pages().items():
        found = anchors(text)
        for link in re.findall(r"\]\(#([^)]+)\)", text):
            assert link in found, (name, link)


def test_texts_of_the_code_are_shown_and_not_obeyed() -> None:
    wild = "a <b>bold</b> | *star* [x](javascript:y) `a|b <i>` `` c`d ``"
    row = "\n".join(markdown.table(("one", "two"), [(markdown.prose(wild), markdown.code("|`x`"))]))
    html = MarkdownIt("commonmark").enable("table").render(row)
    assert "<b>" not in html
    assert "<a " not in html
    assert html.count("<td>") == 2
    assert "<code>a|b &lt;i&gt;</code>" in html
    assert "<code>|`x`</code>" in html
    fenced = markdown.block("text", "```\n<script>\n```")
    assert "<script>" not in MarkdownIt("commonmark").render(fenced)


def test_a_page_that_is_no_more_goes_and_one_that_is_as_it_was_stays(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "gone.md").write_text("# Of last year\n")
    page = tmp_path / "checks.md"
    before = page.stat().st_mtime_ns
    write(tmp_path)
    assert page.stat().st_mtime_ns == before
    assert {path.name for path in tmp_path.iterdir()} == set(pages())
