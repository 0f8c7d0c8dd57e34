"""Files of users: three formats, read strictly, and never quoted."""

import json
from pathlib import Path

import pytest

from gameday.core.errors import FileError, UsageError
from gameday.core.secrets.redaction import nothing
from gameday.spec.users import UsersFile, read_users
from gameday.spec.users_hidden import hiding

SECRET = "hunter2-Geheimnis"


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_three_formats_say_the_same(tmp_path: Path) -> None:
    csv = written(tmp_path, "u.csv", '\ufeffemail,name\r\na@b.c,"Kim, ""K"""\r\nb@b.c,이\r\n')
    rows = [{"email": "a@b.c", "name": 'Kim, "K"'}, {"email": "b@b.c", "name": "이"}]
    array = written(tmp_path, "u.json", json.dumps(rows))
    lines = written(tmp_path, "u.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")
    tables = [read_users(each) for each in (csv, array, lines)]
    assert all(dict(table.columns) == dict(tables[0].columns) for table in tables)
    assert tables[0].rows == 2
    assert tables[0].row(1) == {"email": "b@b.c", "name": "이"}


def test_numbers_stay_numbers_in_json_and_are_texts_in_csv(tmp_path: Path) -> None:
    assert read_users(written(tmp_path, "u.json", '[{"id": 7}]')).columns["id"] == [7]
    assert read_users(written(tmp_path, "u.csv", "id\n007\n")).columns["id"] == ["007"]


WRONG = [
    ("u.csv", "", ":1:"),
    ("u.csv", "id\n", "no users"),
    ("u.csv", "id,id\n1,2\n", "twice"),
    ("u.csv", "user,id\n1,2\n", "placeholder of gameday's own"),
    ("u.csv", "e mail\n1\n", "no name of a column"),
    ("u.csv", f"id,pw\n1,x\n2,{SECRET},y\n", ":3:1: 3 values for 2 columns"),
    ("u.csv", f'id,pw\n1,"{SECRET}\n', "no CSV"),
    ("u.csv", f"id,pw\n1,{SECRET * 1000}\n", "bytes, more than"),
    ("u.csv", b"id\n\xff\n", ":2:1: byte 0xff"),
    ("u.json", f'{{"id": "{SECRET}"}}', "no list"),
    ("u.json", f'["{SECRET}"]', "no object"),
    ("u.json", f'[{{"id": "{SECRET}"', "no JSON"),
    ("u.json", "[" * 100_000, "no JSON"),
    ("u.json", '[{"id": 1}, {"id": 1, "x": 2}]', "other keys"),
    ("u.json", '[{"id": null}]', "neither a text nor a number"),
    ("u.json", '[{"id": NaN}]', "neither a text nor a number"),
    ("u.json", f'[{{"id": 1{"0" * 400}}}]', "neither a text nor a number"),
    ("u.json", '[{"id": "\\ud800"}]', "surrogate"),
    ("u.jsonl", '{"id": 1}\n{"id": \n', ":2:1: no JSON"),
    ("u.txt", "id\n1\n", "no format"),
]


@pytest.mark.parametrize(("name", "text", "told"), WRONG)
def test_a_file_that_is_wrong_is_refused_with_its_line_and_no_value(
    tmp_path: Path, name: str, text: str | bytes, told: str
) -> None:
    with pytest.raises(UsageError) as error:
        read_users(written(tmp_path, name, text))
    assert told in error.value.message
    assert SECRET not in error.value.message + error.value.help


def test_a_folder_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(UsageError):
            read_users(path.with_suffix(".csv") if path == tmp_path else path)
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(UsageError, match="folder"):
        read_users(tmp_path / "d.csv")


def test_secret_columns_are_masked_and_public_ones_are_not(tmp_path: Path) -> None:
    path = written(tmp_path, "u.csv", f"id,email,token,n\nmember-1,kim@b.co,{SECRET}/x==,42\n")
    table = read_users(path)
    hide = hiding(nothing, UsersFile(file="u.csv", public=["id"]), table)
    text = f'member-1 "{SECRET}/x==" mail=kim@b.co, kim%40b.co. /u/kim@b.co/x 42 of 42'
    shown = hide(text)
    assert SECRET not in shown and "kim" not in shown
    assert "member-1" in shown and "42 of 42" in shown
    assert hide("nothing to see") == "nothing to see"
    assert SECRET not in repr(table)


CELLS = (
    *("Passw0rd!", "abcdef123", "a1b2c3d4", "ann@example.com", "Ärger-Straße", "김철수님"),
    *("key/0001==", "nancy01", "dom\\user77", "eyJh.bGci-Oi_JI", "true", "gold"),
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("it is Passw0rd!.", "it is ***"),
        ("**Passw0rd!** and `Passw0rd!`", "*** and ***"),
        ('{"m":"error\\nabcdef123\\tx"}', '{"m":"error\\n***\\tx"}'),
        ("error\\\\nabcdef123", "error\\\\n***"),
        ("_a1b2c3d4_ a1b2c3d4… ~a1b2c3d4~", "*** *** ***"),
        ("id-ann@example.com id_ANN@example.com.", "id-*** id_***."),
        ("ANN@example.com mailto:ann@example.com", "*** mailto:***"),
        ("/u/ANN%40example.com/orders", "/u/***/orders"),
        ("\\uae40\\ucca0\\uc218\\ub2d8 김철수님", "*** ***"),
        ("\u1100\u1175\u11b7\u110e\u1165\u11af\u1109\u116e\u1102\u1175\u11b7", "***"),
        ("ÄRGER-STRASSE", "***"),
        ("key/0001== key\\/0001 key%2F0001 /k/key/0001", "***== *** *** /k/***"),
        ("C:\\nancy01 dom\\user77", "C:\\*** dom\\***"),
        ("Bearer eyJh.bGci-Oi_JI:x", "Bearer ***:x"),
        ("gold-member, golden, true, False 42", "***-member, golden, true, False 42"),
        ("example.com is no user, nor is passw0rds", "example.com is no user, nor is passw0rds"),
        ("\\u12 \\ \\n %zz / -- __", "\\u12 \\ \\n %zz / -- __"),
    ],
)
def test_a_cell_is_masked_however_it_is_spelled(tmp_path: Path, text: str, shown: str) -> None:
    path = written(tmp_path, "u.json", json.dumps([{"cell": cell} for cell in CELLS]))
    hide = hiding(nothing, UsersFile(file="u.json"), read_users(path))
    assert hide(text) == shown


def test_a_text_of_many_pieces_is_looked_through_in_no_time(tmp_path: Path) -> None:
    cells = ["-".join(["a"] * n) + "-end" for n in range(2, 60)]
    path = written(tmp_path, "u.json", json.dumps([{"cell": cell} for cell in cells]))
    hide = hiding(nothing, UsersFile(file="u.json"), read_users(path))
    for text in ("a-" * 20_000 + "b", "\\" * 200_000):
        assert hide(text) == text


def test_an_error_of_a_file_has_its_place(tmp_path: Path) -> None:
    with pytest.raises(FileError) as error:
        read_users(written(tmp_path, "u.csv", "id\n1\n\n2,3\n"))
    assert error.value.place.line == 4
