// The charts made live: zoom, and the instant of a line of the timeline marked on all of them.
/* global uPlot */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { words } = data;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const el = (tag, attributes = {}, ...inside) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...inside);
    return made;
  };
  const SVG = "http://www.w3.org/2000/svg";
  const live = [];
  let marked = null;
  let pinned = null;
  const all = Object.values(data.charts).filter((each) => each.x.length > 1);
  const first = Math.min(...all.map((each) => each.x[0]));
  const last = Math.max(...all.map((each) => each.x[each.x.length - 1]));
  let view = [first, last];

  function short(value) {
    if (value === null || value === undefined) return "";
    return Math.abs(value) >= 1000 ? value.toLocaleString("en", { maximumFractionDigits: 0 }) : String(Number(value.toPrecision(3)));
  }

  function draw(chart) {
    const { ctx, bbox } = chart;
    const x = (at) => chart.valToPos(at, "x", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const each of data.marks) {
      if (each.to !== null) {
        ctx.fillStyle = css("--window");
        ctx.fillRect(x(each.from), bbox.top, Math.max(1, x(each.to) - x(each.from)), bbox.height);
      }
      ctx.strokeStyle = css("--quiet");
      ctx.setLineDash([4, 4]);
      ctx.beginPath(); ctx.moveTo(x(each.from), bbox.top); ctx.lineTo(x(each.from), bbox.top + bbox.height); ctx.stroke();
    }
    ctx.restore();
  }

  function drawMarked(chart) {
    if (marked === null) return;
    const { ctx, bbox } = chart;
    const x = chart.valToPos(marked, "x", true);
    if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) return;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = css("--mark");
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
    ctx.restore();
  }

  function make(place, chart, height, bare = false) {
    const axis = { stroke: css("--quiet"), grid: { stroke: css("--rule"), width: 1 }, ticks: { show: false }, font: `12px ${css("--sans")}` };
    const plot = new uPlot({
      width: Math.max(220, place.clientWidth), height, padding: [8, 14, 0, 0], legend: { show: false },
      cursor: { sync: { key: "time" }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      scales: {
        x: { time: false, range: () => view },
        y: chart.log ? { distr: 3 } : { range: (_c, _low, high) => [0, Math.max(1, (high || 0) * 1.08)] },
      },
      axes: [
        { ...axis, size: 28, values: (_c, values) => values.map(short) },
        { ...axis, size: 58, space: bare ? 34 : 26, values: (_c, values) => values.map(short) },
      ],
      series: [{}, ...chart.lines.map((line) => ({ label: line.name, stroke: line.colour, width: 1.8, points: { show: false }, spanGaps: false }))],
      hooks: {
        drawClear: [draw],
        draw: [drawMarked],
        setSelect: [(self) => {
          const from = self.posToVal(self.select.left, "x");
          const to = self.posToVal(self.select.left + self.select.width, "x");
          if (self.select.width > 4) show(from, to);
          self.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        }],
      },
    }, [chart.x, ...chart.lines.map((line) => line.values)], place);
    return plot;
  }

  function show(from, to) {
    const least = Math.min(1, last - first);
    const width = Math.min(last - first, Math.max(least, to - from));
    const start = Math.min(Math.max(first, from), last - width);
    view = [start, start + width];
    document.documentElement.dataset.from = start.toFixed(3);
    document.documentElement.dataset.to = (start + width).toFixed(3);
    for (const each of live) each.plot.setScale("x", { min: view[0], max: view[1] });
  }

  function around(factor) {
    const middle = marked !== null && marked >= view[0] && marked <= view[1] ? marked : (view[0] + view[1]) / 2;
    const half = ((view[1] - view[0]) * factor) / 2;
    show(middle - half, middle + half);
  }

  function tool(sign, name, act) {
    const button = el("button", { type: "button", class: "tool", "aria-label": name, title: name }, sign);
    button.addEventListener("click", act);
    return button;
  }

  const move = (share) => show(view[0] + (view[1] - view[0]) * share, view[1] + (view[1] - view[0]) * share);

  function keys(chart) {
    return el("span", { class: "keys" }, ...chart.lines.map((line) => {
      const svg = document.createElementNS(SVG, "svg");
      const box = document.createElementNS(SVG, "rect");
      for (const [name, value] of [["width", 14], ["height", 8], ["rx", 2], ["fill", line.colour]]) box.setAttribute(name, value);
      svg.setAttribute("aria-hidden", "true");
      svg.append(box);
      return el("span", {}, svg, line.name);
    }));
  }

  function enliven(figure) {
    const chart = data.charts[figure.dataset.chart];
    if (!chart || chart.x.length < 2 || !chart.lines.some((line) => line.values.some((value) => value !== null))) return;
    const place = el("span", { class: "plot", role: "img", "aria-label": `${chart.title}. ${words.how}` });
    const head = el("span", { class: "live-head" }, el("b", {}, chart.title),
      tool("+", words.zoom_in, () => around(0.5)), tool("−", words.zoom_out, () => around(2)),
      tool("←", words.earlier, () => move(-0.4)), tool("→", words.later, () => move(0.4)),
      tool("↔", words.whole, () => show(first, last)));
    figure.prepend(el("span", { class: "live" }, head, keys(chart), el("span", { class: "quiet" }, chart.y), place));
    figure.dataset.live = "";
    live.push({ place, plot: make(place, chart, 220), chart, height: 220 });
  }

  function overview(table) {
    const chart = data.charts.latency;
    if (!chart || chart.x.length < 2 || !chart.lines.some((line) => line.values.some((value) => value !== null))) return;
    const place = el("div", { class: "plot", role: "img", "aria-label": words.overview });
    const box = el("div", { class: "overview live" }, keys(chart), place);
    table.closest(".wide").before(box);
    box.style.display = "block";
    live.push({ place, plot: make(place, chart, 110, true), chart, height: 110, bare: true });
  }

  function mark(row) {
    for (const each of document.querySelectorAll("tr.marked")) each.classList.remove("marked");
    row?.classList.add("marked");
    marked = row ? Number(row.dataset.t) : null;
    if (marked !== null) document.documentElement.dataset.marked = row.dataset.t; else delete document.documentElement.dataset.marked;
    if (marked !== null && (marked < view[0] || marked > view[1]) && marked >= first && marked <= last) {
      const width = view[1] - view[0];
      show(marked - width / 2, marked + width / 2);
    }
    for (const each of live) each.plot.redraw(false, false);
    for (const svg of document.querySelectorAll("svg[data-from]")) {
      svg.querySelector(".cursor")?.remove();
      const { from, to, left, right } = Object.fromEntries(Object.entries(svg.dataset).map(([name, value]) => [name, Number(value)]));
      if (marked === null || marked < from || marked > to) continue;
      const x = left + ((right - left) * (marked - from)) / (to - from);
      const line = document.createElementNS(SVG, "line");
      for (const [name, value] of [["x1", x], ["x2", x], ["y1", 34], ["y2", svg.viewBox.baseVal.height - 50], ["class", "cursor"]]) line.setAttribute(name, value);
      svg.append(line);
    }
  }

  function pin(row) {
    pinned = pinned === row ? null : row;
    for (const each of document.querySelectorAll("td > button[aria-pressed]")) each.setAttribute("aria-pressed", String(each.closest("tr") === pinned));
    mark(pinned);
  }

  function timed(row) {
    const cell = row.cells[0];
    const at = cell.textContent;
    const button = el("button", { type: "button", "aria-pressed": "false", "aria-label": words.mark.replace("{at}", at) }, at);
    cell.replaceChildren(button);
    row.addEventListener("click", () => pin(row));
    row.addEventListener("mouseenter", () => mark(row));
    row.addEventListener("mouseleave", () => mark(pinned));
    button.addEventListener("focus", () => mark(row));
    button.addEventListener("blur", () => mark(pinned));
  }

  document.documentElement.classList.add("js");
  for (const figure of document.querySelectorAll("[data-chart]")) enliven(figure);
  const rows = [...document.querySelectorAll("tr[data-t]")];
  for (const table of new Set(rows.map((row) => row.closest("table")))) if (!table.closest("details")) overview(table);
  rows.forEach(timed);
  new ResizeObserver(() => {
    for (const each of live) {
      const width = each.place.clientWidth;
      if (width > 0 && width !== each.plot.width) each.plot.setSize({ width, height: each.height });
    }
  }).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const each of live) { each.plot.destroy(); each.plot = make(each.place, each.chart, each.height, each.bare); }
  });
})();
