"""Charts that show everywhere: a renderer that knows no media query gives light, readable pictures.

The renderer is librsvg; what is asked of its pictures is asked of their pixels. Of the drawings
alone it is asked that no two texts lie over each other, whatever the run met.
"""

import json
import math
import re
import shutil
import struct
import subprocess
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.clock import NS
from gameday.report import write_report
from gameday.report.charts import plot
from gameday.report.charts.charts import NAMES, until_the_end
from gameday.report.charts.plot import (
    Bar,
    Drawing,
    Lane,
    Line,
    Mark,
    Scale,
    Words,
    chart,
    lanes_chart,
    width_of,
)
from gameday.report.charts.series import Curve, quantiles
from gameday.report.charts.spans import objective_spans
from gameday.report.inputs import read_material
from gameday.telemetry.promql.histograms import bucket_quantile
from tests.report.test_report import EVENTS, HOSTILE, RESULT, T0, write_run

RSVG = shutil.which("rsvg-convert")
needs_rsvg = pytest.mark.skipif(RSVG is None, reason="no rsvg-convert (Debian: librsvg2-bin)")
SVG = "{http://www.w3.org/2000/svg}"
WORDS = Words("Title", "description", "seconds", "latency, ms", "nothing was measured")
DARK_PAGE = "#0d1117"
Pixels = npt.NDArray[np.uint8]


def png_pixels(data: bytes) -> Pixels:
    """Rows of RGBA pixels of a PNG as cairo writes them: 8 bits, RGBA, not interlaced."""
    width, height, *kind = struct.unpack(">IIBBBBB", data[16:29])
    assert kind == [8, 6, 0, 0, 0]
    packed, at = b"", 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        packed += data[at + 8 : at + 8 + length] if data[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + 4 * width)
    above, rows = np.zeros(4 * width, np.uint8), []
    for row in raw:
        above = _unfiltered(int(row[0]), row[1:], above)
        rows.append(above)
    return np.stack(rows).reshape(height, width, 4)


def _unfiltered(kind: int, row: Pixels, above: Pixels) -> Pixels:
    """One row without its filter (PNG, third edition, 9.2)."""
    if kind in {0, 2}:
        return row + above if kind else row
    done, up = bytearray(4) + row.tobytes(), bytes(4) + above.tobytes()
    for i in range(4, len(done)):
        left, over, corner = done[i - 4], up[i], up[i - 4]
        guess = left if kind == 1 or left == over == corner else (left + over) // 2
        if kind == 4 and not left == over == corner:
            near = left + over - corner
            guess = min((left, over, corner), key=lambda one: abs(near - one))
        done[i] = (done[i] + guess) & 255
    return np.frombuffer(bytes(done[4:]), np.uint8)


def rendered(drawing: str) -> bytes:
    """The picture that librsvg makes of a drawing, as a PNG."""
    assert RSVG is not None
    done = subprocess.run([RSVG], input=drawing.encode(), capture_output=True, check=True)
    assert not done.stderr
    return done.stdout


def luminance(colour: npt.ArrayLike) -> Curve:
    """The relative luminance of WCAG, 0 to 1, of sRGB colours."""
    share = np.asarray(colour, dtype=np.float64)[..., :3] / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]))


def rgb(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def contrast(one: float, other: float) -> float:
    """The contrast of two luminances, 1 to 21."""
    low, high = sorted((one, other))
    return (high + 0.05) / (low + 0.05)


@dataclass(frozen=True, slots=True)
class Box:
    """The place of a text, in whole pixels."""

    words: str
    left: int
    top: int
    right: int
    bottom: int

    def meets(self, other: "Box") -> bool:
        return (self.left < other.right and other.left < self.right) and (
            self.top < other.bottom and other.top < self.bottom
        )


def boxes(root: ET.Element) -> Iterator[Box]:
    """All texts of a chart; the one that is turned stands upright."""
    for node in root.iter(f"{SVG}text"):
        size, words = float(node.get("font-size", "12")), node.text or ""
        x, y, width = (
            float(node.get("x", "")),
            float(node.get("y", "")),
            width_of(words) * size / 12,
        )
        before = {"middle": width / 2, "end": width}.get(node.get("text-anchor", ""), 0.0)
        edges = (x - before, y - size * 0.8, x - before + width, y + size * 0.2)
        if node.get("transform"):
            edges = (x - size * 0.8, y - width / 2, x + size * 0.2, y + width / 2)
        yield Box(words, *(round(edge) for edge in edges))


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The charts of a run, as its report has them."""
    run_dir = write_run(tmp_path_factory.mktemp("runs") / "run")
    write_report(run_dir)
    found = {path.stem: path.read_text() for path in (run_dir / "charts").glob("*.svg")}
    assert found.keys() == set(NAMES)
    return found


@needs_rsvg
@pytest.mark.parametrize("name", NAMES)
def test_a_chart_is_light_and_has_readable_texts_and_its_colours(
    name: str, charts: dict[str, str]
) -> None:
    shown, root = png_pixels(rendered(charts[name])), ET.fromstring(charts[name])
    bright = luminance(shown)
    assert float(np.median(bright)) > 0.95
    texts = list(boxes(root))
    assert len(texts) > 8
    for box in texts:
        under = bright[box.top : box.bottom, box.left : box.right]
        assert float(np.median(under)) > 0.7, box
        assert contrast(float(np.median(under)), float(under.min())) > 4.5, box
    swatches = [node for node in root.iter(f"{SVG}rect") if not node.get("class")]
    assert swatches
    for node in swatches:
        x, y, width, height = (float(node.get(k, "")) for k in ("x", "y", "width", "height"))
        pixel = shown[round(y + height / 2), round(x + width / 2), :3]
        assert pixel.tolist() == rgb(node.get("fill", "")), ET.tostring(node)


@needs_rsvg
def test_charts_lose_nothing_without_their_style(charts: dict[str, str]) -> None:
    for drawing in charts.values():
        plain = re.sub("<style>.*?</style>", "", drawing, flags=re.DOTALL)
        assert plain != drawing
        assert rendered(plain) == rendered(drawing)


@needs_rsvg
@pytest.mark.parametrize(
    "words", ["fault: network-latency-1", "IssuanceSlow fires", "10,000", "objective breached"]
)
def test_words_are_no_wider_than_they_are_taken_for(words: str) -> None:
    drawing = Drawing(300, 30, "")
    drawing.text(10, 20, words)
    dark = np.flatnonzero((luminance(png_pixels(rendered(str(drawing)))) < 0.5)[2:-2].any(axis=0))
    dark = dark[(dark > 4) & (dark < 296)]
    assert 9 <= dark.min()
    assert 0.5 * width_of(words) < dark.max() - 9 <= width_of(words)


def test_nothing_is_breached_where_there_is_no_traffic(tmp_path: Path) -> None:
    events = [*EVENTS[:-1], (50.0, "phase", {"phase": "ending"}), EVENTS[-1]]
    run_dir = write_run(tmp_path / "run", events=events)
    lines = [json.loads(line) for line in (run_dir / "samples.jsonl").read_text().splitlines()]
    read = [line | {"readings": {"objective:fast": False}} for line in lines if "readings" in line]
    lines = [read[0] | {"t": T0 - 5 * NS}, *read]
    (run_dir / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    material = read_material(run_dir)
    whole = objective_spans(material.evaluations, "fast")
    assert [(s.start_ns, s.end_ns) for s in whole] == [(T0 - 5 * NS, None)]
    seen = objective_spans(material.in_traffic, "fast")
    (drawn,) = [until_the_end(material, each) for each in seen]
    assert drawn.start_ns == min(e.t_ns for e in material.evaluations if e.t_ns > T0)
    assert drawn.end_ns == T0 + 50 * NS


def test_nothing_is_breached_once_the_schedule_is_over(tmp_path: Path) -> None:
    """The run goes on after it: faults are taken out, and looked at."""
    run_dir = write_run(tmp_path / "run")
    effective = run_dir / "inputs" / "effective.json"
    effective.write_text(json.dumps(json.loads(effective.read_bytes()) | {"traffic_end_s": 20.0}))
    material = read_material(run_dir)
    assert material.traffic_end_ns == T0 + 20 * NS
    assert max(each.t_ns for each in material.in_traffic) <= T0 + 20 * NS


def hostile_run(folder: Path) -> dict[str, str]:
    """The charts of a run with many faults and dependencies, and with names that nobody expects."""
    names = [HOSTILE, "Long" * 200, "\x00\x01\ud800 \ufffe\uffff", "한국어 경보"]
    alerts = [{"labels": {"alertname": name}, "state": "firing", "active_at": T0} for name in names]
    faults = [
        {**RESULT["faults"][0], "id": f"fault-{n}", "injected_at": 4 * n, "removed_at": 4 * n + 9}
        for n in range(14)
    ]
    run_dir = write_run(
        folder, result={**RESULT, "faults": faults}, alerts=lambda at: alerts if at > 5 else []
    )
    lines = [json.loads(line) for line in (run_dir / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        if "figures" in line:
            line["figures"] |= {f"dependency:{n}{'-' * 20}": n / NS for n in range(1, 20)}
            line["figures"][f"dependency:{HOSTILE * 9}"] = 1.0
    (run_dir / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_report(run_dir)
    return {path.stem: path.read_text() for path in (run_dir / "charts").glob("*.svg")}


def test_no_text_is_cut_or_lies_over_another(tmp_path: Path, charts: dict[str, str]) -> None:
    for drawing in [*charts.values(), *hostile_run(tmp_path / "run").values()]:
        root = ET.fromstring(drawing)
        width, height = int(root.get("width", "")), int(root.get("height", ""))
        texts = list(boxes(root))
        for box in texts:
            assert box.left >= 0 and box.top >= 0, box
            assert box.right <= width and box.bottom <= height, box
        assert not [pair for pair in combinations(texts, 2) if pair[0].meets(pair[1])]
        known = {"svg", "title", "style", "rect", "line", "path", "text"}
        assert {node.tag.removeprefix(SVG) for node in root.iter()} <= known


def test_a_chart_of_nothing_says_so_and_a_window_stays_in_the_plot() -> None:
    none = np.array([0.0, 60.0])
    marks = [Mark("before", -5, 200), Mark("late", 59.9)]
    empty = chart(WORDS, none, [Line("p50", plot.BLUE, none * np.nan)], marks, log=True)
    lanes = lanes_chart(
        WORDS, Scale(0, 60, 80, 884), [Lane("A", [Bar(-3, 99, plot.RED)])], marks, []
    )
    assert "nothing was measured" in empty
    for drawing in (empty, lanes):
        for node in ET.fromstring(drawing).iter(f"{SVG}rect"):
            assert 0 <= float(node.get("x", "0"))
            assert float(node.get("x", "0")) + float(node.get("width", "")) <= 900


def test_colours_have_contrast_to_both_pages() -> None:
    pages = [float(luminance(rgb(page))) for page in ("#ffffff", DARK_PAGE)]
    lines = (plot.BLUE, plot.ORANGE, plot.GREEN, plot.RED, plot.PINK, plot.SKY, plot.GREY)
    for colour in lines:
        assert all(contrast(page, float(luminance(rgb(colour)))) >= 3 for page in pages), colour
    dark = dict(re.findall(r"\.(\w+)\{fill:(#\w+)\}", plot.DARK))
    assert dark["page"] == DARK_PAGE
    for kind in ("ink", "soft"):
        for page, colour in zip(pages, (str(plot.LOOKS[kind]["fill"]), dark[kind]), strict=True):
            assert contrast(page, float(luminance(rgb(colour)))) >= 4.5, kind
    assert dark.keys() | {"grid", "mark"} <= plot.LOOKS.keys()


@given(
    bounds=st.lists(st.floats(0, 100), min_size=1, max_size=6, unique=True),
    counts=st.lists(st.lists(st.integers(-2, 12), min_size=7, max_size=7), min_size=1, max_size=5),
    q=st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]),
    is_whole=st.booleans(),
)
def test_quantiles_of_all_instants_are_those_of_the_rules_one_by_one(
    bounds: list[float], counts: list[list[int]], q: float, *, is_whole: bool
) -> None:
    edges = [*sorted(bounds), *([math.inf] if is_whole else [])]
    rows = np.array([each[: len(edges)] for each in counts], dtype=np.float64)
    expected = [bucket_quantile(q, list(zip(edges, each, strict=True))) for each in rows.tolist()]
    np.testing.assert_array_equal(quantiles(q, edges, rows.T), expected)
