"""Files of users: three formats, read strictly, and never quoted."""

import json
from pathlib import Path

import pytest

from gameday.core.errors import FileError, UsageError
from gameday.core.secrets.redaction import nothing
from gameday.spec.users import UsersFile, read_users
from gameday.spec.users_hidden import cells_of, hiding

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


SHORT = {
    "name": ["Kim", "Lee", "김철수", "이준"],
    "pin": ["1234", "77", 88, "9"],
    "token": ["eyJhbGciOiJIUzI1NiJ9.abcdefghijk.lmnop", "b1b2b3b4b5", "c1c2c3c4", "d1d2d3d4"],
}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Kim", "***"),
        (" kim ", "***"),
        ("77", "77"),
        ("Kim is at door 77, and 1234 are not", "Kim is at door 77, and 1234 are not"),
        ('{"name": "Kim", "pin": 88}', '{"name": "***", "pin": ***}'),
        ('{\\"NAME\\":\\"lee\\"}', '{\\"NAME\\":\\"***\\"}'),
        ("/u?name=Kim&pin=77&page=77", "/u?name=***&pin=***&page=77"),
        ("username=Kim, rename: Lee, name: Ann", "username=Kim, rename: Lee, name: Ann"),
        ("김철수님은 이준에게, name: 이준", "*** 이준에게, name: ***"),
        ("'eyJhbGciOiJIUzI1NiJ9.abcd…", "'***…"),
        ("it said b1b2b3b4… (200 bytes)", "it said ***… (200 bytes)"),
        ("b1b2… and b1b2b3b5…", "b1b2… and b1b2b3b5…"),
        ("Basic YjFiMmIzYjRiNTpvcGVu", "Basic ***"),
        ("checkout/reserve and 0191f3aa-aaaa", "checkout/reserve and 0191f3aa-aaaa"),
    ],
)
def test_short_cells_and_those_that_were_cut(tmp_path: Path, text: str, shown: str) -> None:
    rows = [dict(zip(SHORT, row, strict=True)) for row in zip(*SHORT.values(), strict=True)]
    path = written(tmp_path, "u.json", json.dumps(rows))
    assert hiding(nothing, UsersFile(file="u.json"), read_users(path))(text) == shown


def test_ids_are_looked_at_one_by_one_whatever_stands_beside_them(tmp_path: Path) -> None:
    path = written(tmp_path, "u.csv", "email,plan\nkim@b.co,gold\n")
    cells = cells_of(UsersFile(file="u.csv"), read_users(path))
    ids = ["1-kim@b.co", "x", "kim%40b.co", "a2ltQGIuY28", "gold-7", "golden", "KIM@B.CO", ""]
    assert cells.ids_with_one(ids) == [0, 2, 4, 6]
    assert [bool(cells.ids_with_one([each])) for each in ids].count(True) == 4
    assert cells.ids_with_one(["x", "a2ltQGIuY28", "golden"]) == []


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
