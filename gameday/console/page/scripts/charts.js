// The live charts: one row of figures each, drawn by uPlot; windows of faults behind them.
/* global uPlot */
import { clock, figure, fill, h } from "./dom.js";
import { t, has } from "./texts.js";

const KINDS = [
  { id: "rates", unit: "/s", colours: { issued: 3, duplicate: 4, sold_out: 1, accepted: 4, refused: 2, unknown: 5, dropped: 6 } },
  { id: "latency", unit: "ms", colours: { p50: 3, p95: 1, p99: 2 } },
  { id: "dependencies", unit: "ms", colours: {} },
  { id: "stock", unit: "", colours: { left: 1 } },
];
const WINDOW_S = 300;
const HEIGHT = 150;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Charts {
  constructor(session) {
    this.session = session;
    this.whole = false;
    this.planned = [];
    this.plots = new Map();
    this.sync = uPlot.sync("time");
    this.span = h("button", { type: "button", class: "plain slim", "aria-pressed": "false", onclick: () => this.toggle() }, t("charts.whole"));
    this.element = h("section", { class: "charts", id: "charts", "aria-label": t("charts.title") }, KINDS.map((kind) => this.card(kind)));
    this.seen = -1;
    new ResizeObserver(() => this.resize()).observe(this.element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.rebuild());
  }

  card(kind) {
    const plot = h("div", { class: "plot", role: "img", hidden: true });
    const legend = h("div", { class: "legend" });
    const none = h("div", { class: "none" }, t("charts.none"));
    const unit = kind.unit ? h("span", { class: "quiet small" }, kind.unit) : null;
    const card = h("figure", { class: "card chart" },
      h("header", {}, h("h2", {}, t(`charts.${kind.id}`), " ", unit), kind.id === "latency" ? this.span : null), legend, none, plot);
    this.plots.set(kind.id, { kind, plot, legend, none, names: "", chart: null });
    return card;
  }

  toggle() {
    this.whole = !this.whole;
    this.span.setAttribute("aria-pressed", String(this.whole));
    this.draw(true);
  }

  rebuild() {
    for (const one of this.plots.values()) { one.chart?.destroy(); one.chart = null; one.names = ""; }
    this.draw(true);
  }

  resize() {
    for (const one of this.plots.values()) {
      const width = one.plot.clientWidth;
      if (one.chart && width > 0 && width !== one.chart.width) one.chart.setSize({ width, height: HEIGHT });
    }
  }

  draw(force = false) {
    const { ticks } = this.session;
    const last = ticks.length ? ticks[ticks.length - 1].at : -1;
    if (!force && last === this.seen) return;
    this.seen = last;
    const zero = this.session.state.zero;
    const xs = ticks.map((tick) => tick.t - zero);
    for (const one of this.plots.values()) this.drawOne(one, ticks, xs);
  }

  drawOne(one, ticks, xs) {
    const names = [...new Set(ticks.flatMap((tick) => Object.keys(tick.figures[one.kind.id] || {})))]
      .filter((name) => one.kind.id !== "rates" || ["issued", "unknown"].includes(name) || ticks.some((tick) => tick.figures.rates?.[name]));
    const rows = names.map((name) => ticks.map((tick) => tick.figures[one.kind.id]?.[name] ?? null));
    const something = rows.some((row) => row.some((value) => value !== null));
    one.none.hidden = something;
    one.plot.hidden = !something;
    if (!something) { fill(one.legend); return; }
    const colours = names.map((name, index) => one.kind.colours[name] ?? (index % 6) + 1);
    fill(one.legend, names.map((name, index) => h("span", {}, h("i", { class: `k${colours[index]}` }), `${title(one.kind.id, name)} `,
      h("b", {}, figure(lastOf(rows[index]))))), this.windowKey(one));
    one.plot.setAttribute("aria-label", `${t(`charts.${one.kind.id}`)}: ` + names.map((name, index) => `${title(one.kind.id, name)} ${figure(lastOf(rows[index]))} ${one.kind.unit}`).join(", "));
    const data = [xs, ...rows];
    if (one.chart === null || one.names !== names.join()) {
      one.chart?.destroy();
      one.names = names.join();
      one.chart = this.make(one, names, colours, data);
    } else {
      one.chart.setData(data, true);
    }
  }

  windowKey(one) {
    if (one.kind.id !== "latency" || !this.allWindows().length) return null;
    return h("span", {}, h("i", { class: "kw" }), t("charts.window"));
  }

  make(one, names, colours, data) {
    const axis = { stroke: css("--quiet"), grid: { stroke: css("--grid"), width: 1 }, ticks: { show: false }, font: `12px ${css("--sans")}` };
    return new uPlot({
      width: Math.max(200, one.plot.clientWidth), height: HEIGHT,
      padding: [8, 22, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: this.sync.key }, points: { size: 5 }, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: () => this.range() },
        y: { range: (_chart, _low, high) => [0, Math.max(high * 1.1, one.kind.id === "rates" ? 1 : one.kind.id === "stock" ? 1 : 10)] },
      },
      axes: [
        { ...axis, size: 26, space: 60, incrs: [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600], values: (_chart, values) => values.map((value) => clock(value)) },
        { ...axis, size: 48, space: 32, values: (_chart, values) => values.map(short) },
      ],
      series: [{}, ...names.map((name, index) => ({ label: name, stroke: css(`--c${colours[index]}`), width: 1.6, points: { show: false }, spanGaps: false }))],
      hooks: { drawClear: [(chart) => this.drawWindows(chart)], draw: [(chart) => this.drawMarks(chart)] },
    }, data, one.plot);
  }

  range() {
    const { session } = this;
    const now = session.shown(session.now());
    const lastTick = session.ticks.length ? session.shown(session.ticks[session.ticks.length - 1].t) : now;
    const end = Math.max(10, session.state.phase === "over" ? lastTick : Math.max(now, lastTick));
    const begin = this.whole || session.state.phase === "over" ? Math.min(0, session.ticks.length ? session.shown(session.ticks[0].t) : 0) : Math.max(0, end - WINDOW_S);
    return [begin, Math.max(end, begin + 30)];
  }

  allWindows() {
    const came = this.session.windows().map((each) => ({ from: this.session.shown(each.from), to: each.to === null ? null : this.session.shown(each.to), planned: false }));
    return came.length ? came : this.planned.map((each) => ({ ...each, planned: true }));
  }

  drawWindows(chart) {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const each of this.allWindows()) {
      const left = chart.valToPos(each.from, "x", true);
      const right = chart.valToPos(each.to ?? this.session.shown(this.session.now()), "x", true);
      ctx.fillStyle = css("--window");
      ctx.strokeStyle = css("--bad");
      if (!each.planned) ctx.fillRect(left, bbox.top, right - left, bbox.height);
      ctx.setLineDash([4, 4]);
      ctx.globalAlpha = 0.6;
      for (const x of each.to === null ? [left] : [left, right]) { ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke(); }
      ctx.globalAlpha = 1;
    }
    ctx.restore();
  }

  drawMarks(chart) {
    const { ctx, bbox } = chart;
    const { session } = this;
    const marks = [
      ...session.alertEvents.filter((each) => each.state === "firing").map((each) => [each.t, "--bad"]),
      ...session.of("step.started", "action.started").map((each) => [each.t, "--accent"]),
    ];
    ctx.save();
    ctx.lineWidth = 1;
    for (const [at, colour] of marks) {
      const x = chart.valToPos(session.shown(at), "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.fillStyle = css(colour);
      const size = 4 * devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(x - size, bbox.top); ctx.lineTo(x + size, bbox.top); ctx.lineTo(x, bbox.top + 1.6 * size);
      ctx.fill();
      ctx.globalAlpha = 0.35;
      ctx.fillRect(x - 0.5, bbox.top, 1, bbox.height);
      ctx.globalAlpha = 1;
    }
    ctx.restore();
  }
}

// A chart of the answer to a query, of its own.
export function plotAnswer(place, answer, zero) {
  fill(place);
  const first = Math.max(0, answer.times.findIndex((_, index) => answer.series.some((each) => each.values[index] !== null)));
  const xs = answer.times.slice(first).map((each) => each - zero);
  const axis = { stroke: css("--quiet"), grid: { stroke: css("--grid"), width: 1 }, ticks: { show: false }, font: `12px ${css("--sans")}` };
  return new uPlot({
    width: Math.max(200, place.clientWidth), height: 180, padding: [8, 22, 0, 0], legend: { show: false },
    cursor: { drag: { x: false, y: false } }, scales: { x: { time: false } },
    axes: [{ ...axis, size: 26, values: (_c, values) => values.map((value) => clock(value)) }, { ...axis, size: 56, values: (_c, values) => values.map(short) }],
    series: [{}, ...answer.series.map((each, index) => ({ label: each.name, stroke: css(`--c${(index % 6) + 1}`), width: 1.6, points: { show: answer.times.length < 40, size: 4 } }))],
  }, [xs, ...answer.series.map((each) => each.values.slice(first))], place);
}

const short = (value) => (value >= 10000 ? `${value / 1000}k` : String(Math.round(value * 1e6) / 1e6));
const lastOf = (row) => row[row.length - 1] ?? null;
const title = (kind, name) => (has(`figure.${kind}.${name}`) ? t(`figure.${kind}.${name}`) : name);
