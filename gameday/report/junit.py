"""A result as JUnit XML, for the build servers that show one: a test case a check.

The elements and their order are those of the schema that Jenkins publishes (junit-10.xsd), which
GitHub's and GitLab's readers take too. A build server counts a skipped case as well as a passed
one, so unknown must be an error: no file without failures and errors belongs to a run that did
not pass. A check that did not apply is skipped, with what it lacked.
"""

import math
import re
import xml.etree.ElementTree as ET
from typing import Final

from gameday.judge.result import CheckLine, Result
from gameday.report.markdown import one_line
from gameday.report.messages import Messages

_MOST: Final = 4000  # letters of a text; a build server shows a page of it at most
# What XML 1.0 cannot hold, whatever the escape.
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RUN: Final = "run"


def junit(result: Result, language: str = "en") -> bytes:
    """The document. Its failures and errors are none only where the run passed."""
    say = Messages(language)
    suite = ET.Element("testsuite", {"name": _clean(f"gameday.{result.experiment}")})
    properties = ET.SubElement(suite, "properties")
    for name in ("run", "seed", "experiment", "stack", "verdict", "ended", "exit_code"):
        value = getattr(result, name)
        shown = "" if value is None else _clean(str(value))
        ET.SubElement(properties, "property", {"name": name, "value": shown})
    _the_run(suite, result, say)
    for check in result.checks:
        _check(suite, check, result, say)
    for other in result.not_applicable:
        case = _case(suite, other.name, result)
        lacks = _clean(say.line(other.message, other.lacks))
        ET.SubElement(case, "skipped", {"message": say.plain("junit.lacks", lacks=lacks)})
    counts = {name: len(suite.findall(f"testcase/{name}")) for name in ("failure", "error")}
    suite.attrib |= {
        "tests": str(len(suite.findall("testcase"))),
        "failures": str(counts["failure"]),
        "errors": str(counts["error"]),
        "skipped": str(len(suite.findall("testcase/skipped"))),
        "timestamp": _timestamp(result),
        "time": _seconds(result),
    }
    suites = ET.Element("testsuites", {"name": "gameday"})
    for name in ("tests", "failures", "errors", "time"):
        suites.set(name, suite.get(name, ""))
    suites.append(suite)
    ET.indent(suites, " ")
    document: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _the_run(suite: ET.Element, result: Result, say: Messages) -> None:
    """The case of the run as a whole: it went to its end, and its evidence is all there."""
    case = _case(suite, _RUN, result)
    case.set("time", _seconds(result))
    red = any(check.verdict != "valid" for check in result.checks)
    reasons = [f"{each.part}: {say.line(each.message, each.why)}" for each in result.missing]
    if result.ended != "completed":
        known = f"ended.{result.ended}"
        how = say.plain(known) if known in say.by_id else result.ended
        reasons.insert(0, say.plain("junit.ended", how=how))
    if result.verdict != "passed" and not reasons and not red:
        reasons.append(say.plain("junit.verdict", verdict=result.verdict))
    if reasons:
        kind = "failure" if result.verdict == "failed" and not red else "error"
        _bad(case, kind, result.ended, "; ".join(reasons))


def _check(suite: ET.Element, check: CheckLine, result: Result, say: Messages) -> None:
    case = _case(suite, check.name, result)
    if check.verdict != "valid":
        kind = "failure" if check.verdict == "invalid" else "error"
        _bad(case, kind, check.verdict, say.line(check.message, check.summary))


def _bad(case: ET.Element, kind: str, type_: str, text: str) -> None:
    message = _clean(one_line(text))
    element = ET.SubElement(case, kind, {"message": message, "type": _clean(type_)})
    element.text = _clean(text)


def _case(suite: ET.Element, name: str, result: Result) -> ET.Element:
    where = {"classname": _clean(f"gameday.{result.experiment}"), "name": _clean(name)}
    return ET.SubElement(suite, "testcase", {**where, "time": "0"})


def _timestamp(result: Result) -> str:
    """When it began, as the schema has it."""
    stamp = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z?.*", result.started_at or "")
    return stamp[1] if stamp else "1970-01-01T00:00:00"


def _seconds(result: Result) -> str:
    """How long it took; 0 where nobody can tell."""
    from datetime import datetime

    try:
        times = [
            datetime.fromisoformat(each or "") for each in (result.started_at, result.ended_at)
        ]
        took_s = (times[1] - times[0]).total_seconds()
    except (ValueError, TypeError):
        return "0"
    return f"{max(0.0, took_s):.3f}" if math.isfinite(took_s) else "0"


def _clean(text: str) -> str:
    """The text without what XML cannot hold, and no longer than anybody reads."""
    return _NO_XML.sub("\ufffd", text)[:_MOST]
