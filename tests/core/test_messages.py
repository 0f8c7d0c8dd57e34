"""Messages: in a file and back, as text in a language, and every id that the code names."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from gameday.core.messages import Message, is_message, known, templates

PACKAGE = Path(__file__).parent.parent.parent / "gameday"
SEEN = Message("verify.traffic.moved", before_ms=12.0, during_ms=310.5)
BOTH = Message("verify.agree", probe=SEEN, other="as a driver says it")
LISTED = Message("verify.alone", probe=BOTH, but=Message("verify.unfelt", others=["no", SEEN]))


@pytest.mark.parametrize("message", [SEEN, BOTH, LISTED], ids=str)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    raw = json.loads(json.dumps(message.as_json()))
    assert is_message(raw)
    assert Message.from_json(raw).text() == message.text()


@pytest.mark.parametrize(
    "raw",
    ["text", {"id": 7, "values": {}}, {"id": "a"}, {"id": "a", "values": {"b": {"c": 1}}}],
    ids=str,
)
def test_what_is_no_message_is_told_apart(raw: object) -> None:
    assert not is_message(raw)


def test_a_message_of_a_later_version_is_its_english_text() -> None:
    assert known(Message("verify.of_tomorrow"), "as it was written") == "as it was written"
    assert known(Message("verify.agree"), "without its values") == "without its values"
    assert known(None, "of an old journal") == "of an old journal"
    assert known(SEEN, "anything") == SEEN


def ids() -> Iterator[tuple[str, frozenset[str] | None]]:
    """Each id that is written out in the code, with the names of the values it is given."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name, first = node.func, node.args[0]
            if getattr(name, "id", "") != "Message" or not isinstance(first, ast.Constant):
                continue
            given = [each.arg for each in node.keywords]
            yield str(first.value), None if None in given else frozenset(filter(None, given))


def test_every_id_in_the_code_has_its_sentence_and_its_values() -> None:
    found, by_id = list(ids()), templates()
    assert len(found) > 100
    for id_, given in found:
        assert id_ in by_id
        wanted = {name for _, name, _, _ in Formatter().parse(by_id[id_]) if name}
        assert given is None or wanted <= given, id_
