"""Files and arguments that are not what they should be: refused with their place, never a bug."""

from tests.attacks.place import Place
from tests.attacks.registry import attack

NOT_AN_EXPERIMENT = {
    "empty": b"",
    "nul-bytes": b"\0" * 64,
    "not-utf8": b"name: \xff\xfe\n",
    "only-a-tab": b"\t",
    "a-list": b"- 1\n- 2\n",
    "a-number": b"42",
    "open-bracket": b"[" * 10_000,
    "open-brace": b"{" * 10_000,
    "alias-bomb": b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nname: *c\n",
}


@attack("input", NOT_AN_EXPERIMENT)
def no_experiment_file(place: Place, content: bytes) -> None:
    place.write("bad.yaml", content)
    place.gameday("validate", "bad.yaml").is_refused("bad.yaml")
