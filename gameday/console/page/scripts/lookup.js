// What is looked up: playbooks, logs, and queries over the samples.
import { clock, figure, fill, find, h } from "./dom.js";
import { plotAnswer } from "./charts.js";
import { call } from "./server.js";
import { sameStep } from "./session.js";
import { t } from "./texts.js";
import { chip } from "./work.js";

export class Lookup {
  constructor(session, work, worker) {
    Object.assign(this, { session, work, worker, shown: "playbooks" });
    this.parts = { playbooks: this.playbooks(), logs: this.logs(), query: this.query() };
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": t("lookup.title") }, Object.keys(this.parts).map((name) =>
      h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `part-${name}`, onclick: () => this.show(name), onkeydown: (event) => this.step(event, name) }, t(`lookup.${name}`))));
    this.element = h("section", { class: "card", id: "lookup" }, this.tabs, Object.entries(this.parts).map(([name, part]) =>
      h("div", { id: `part-${name}`, role: "tabpanel", "aria-labelledby": `tab-${name}` }, part)));
    this.show(this.shown);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plot?.());
  }

  step(event, name) {
    const names = Object.keys(this.parts);
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = names[(names.indexOf(name) + by + names.length) % names.length];
    this.show(next);
    find(`#tab-${next}`, this.tabs).focus();
  }

  show(name) {
    this.shown = name;
    for (const [each, part] of Object.entries(this.parts)) {
      const tab = find(`#tab-${each}`, this.tabs);
      tab.setAttribute("aria-selected", String(each === name));
      tab.tabIndex = each === name ? 0 : -1;
      if (part.parentElement) part.parentElement.hidden = each !== name;
    }
    if (name === "logs") this.readLogs();
  }

  go(name) {
    this.show(name);
    this.element.scrollIntoView({ block: "nearest" });
    ({ logs: this.search, query: this.text, playbooks: this.choice }[name])?.focus();
  }

  // Playbooks

  playbooks() {
    this.book = h("div", { class: "book", tabindex: 0 });
    this.steps = [];
    const books = this.work.playbooks;
    if (!books.length) return h("p", { class: "quiet" }, t("lookup.no_playbooks"));
    this.choice = h("select", { id: "playbook", onchange: () => this.drawBook() }, books.map((each, index) =>
      h("option", { value: index }, each.own ? t("lookup.own", { name: each.name }) : each.name)));
    this.drawBook();
    return h("div", { class: "gap" }, h("label", {}, t("lookup.playbook"), this.choice), this.book);
  }

  drawBook() {
    const book = this.work.playbooks[Number(this.choice.value) || 0];
    this.steps = [];
    const steps = [...book.steps];
    const rows = [];
    fill(this.book, h("p", { class: "quiet small" }, t("lookup.answers", { alerts: book.alerts.join(", "), severity: book.severity })));
    for (const each of book.blocks) {
      if (each.kind === "row") { rows.push(each); continue; }
      if (rows.length) this.book.append(table(rows.splice(0)));
      this.book.append(each.step && steps.length ? this.stepOf(steps.shift(), each, book) : block(each));
    }
    if (rows.length) this.book.append(table(rows));
  }

  stepOf(step, each, book) {
    const playbook = book.own ? "" : book.name;
    const order = step.by_number ? { step: step.step, playbook } : step.do ? { action: step.do } : null;
    const name = step.by_number ? t("work.step_n", { step: step.step }) : step.do;
    const state = h("span");
    if (order) this.steps.push({ state, match: (data) => (step.by_number ? sameStep(data, { step: step.step, playbook }) : data.do === step.do) });
    const button = order && this.worker ? h("button", { type: "button", class: "main", "data-step": `${book.name}:${step.step}`, onclick: () => this.worker.act(order, name, step.text) },
      step.do ? t("work.do_named", { what: step.do }) : t("work.done_by_hand")) : null;
    return h("div", { class: "step" }, h("pre", {}, each.runs.map((run) => run.text).join("")), h("div", { class: "row" }, button, state));
  }

  // Logs

  logs() {
    this.search = h("input", { type: "search", id: "log-search", maxlength: 200, placeholder: t("lookup.search"), "aria-label": t("lookup.search"), oninput: () => { clearTimeout(this.typing); this.typing = setTimeout(() => this.readLogs(), 250); } });
    this.file = h("select", { "aria-label": t("lookup.file"), onchange: () => this.readLogs() });
    this.lines = h("div", { class: "log", tabindex: 0, role: "log", "aria-live": "off", "aria-label": t("lookup.logs") });
    this.logAbout = h("p", { class: "quiet small" });
    setInterval(() => { if (this.shown === "logs" && this.session.state.phase !== "over" && !document.hidden) this.readLogs(); }, 2500);
    return h("div", { class: "gap" }, h("div", { class: "row" }, h("div", { class: "grow" }, this.search), this.file), this.lines, this.logAbout);
  }

  async readLogs() {
    const search = this.search.value;
    const answer = await call(`/api/logs?${new URLSearchParams({ file: this.file.value || "", search })}`);
    if (answer.error) { this.logAbout.textContent = t(`error.${answer.error}`); return; }
    if (answer.files.join() !== [...this.file.options].map((each) => each.value).join()) {
      fill(this.file, answer.files.map((each) => h("option", { value: each }, each)));
      this.file.value = answer.file;
    }
    this.file.hidden = answer.files.length < 2;
    const atEnd = this.lines.scrollTop + this.lines.clientHeight > this.lines.scrollHeight - 30;
    fill(this.lines, answer.lines.length ? answer.lines.map((each) => h("div", {}, marked(each, search))) : h("p", { class: "quiet" }, t(answer.files.length ? "lookup.no_lines" : "lookup.no_logs")));
    if (atEnd) this.lines.scrollTop = this.lines.scrollHeight;
    this.logAbout.textContent = answer.problem || (answer.files.length ? t(answer.whole ? "lookup.lines" : "lookup.lines_of_end", { shown: answer.lines.length, matched: answer.matched }) : "");
  }

  // Queries

  query() {
    this.text = h("textarea", { id: "query", class: "mono", maxlength: 2000, spellcheck: "false", "aria-label": "PromQL", placeholder: t("lookup.query_example") });
    const ranges = [["0", "lookup.instant"], ["60", "lookup.minute"], ["300", "lookup.minutes5"], ["900", "lookup.minutes15"], ["1800", "lookup.minutes30"]];
    this.range = h("select", { "aria-label": t("lookup.range") }, ranges.map(([value, id]) => h("option", { value }, t(id))));
    this.answer = h("div", { class: "gap", role: "status" });
    const run = () => this.evaluate();
    this.text.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); } });
    return h("div", { class: "gap" }, this.text, h("div", { class: "row" }, h("button", { type: "button", class: "main", id: "do-query", onclick: run }, t("lookup.evaluate")), h("div", { class: "grow" }, this.range)), this.answer);
  }

  async evaluate() {
    const query = this.text.value.trim();
    if (!query) return;
    const answer = await call("/api/query", { query, range_s: Number(this.range.value) });
    if (answer.error) { fill(this.answer, h("p", { class: "problem" }, t(`error.${answer.error}`))); return; }
    if (answer.problem) { fill(this.answer, h("p", { class: "problem" }, answer.problem), answer.help ? h("p", { class: "quiet small" }, answer.help) : null); return; }
    if (!answer.series.length) { fill(this.answer, h("p", { class: "quiet" }, t("lookup.no_series"))); return; }
    const place = h("div", { class: "plot" });
    const rows = answer.series.map((each, index) => h("tr", {}, h("td", {}, h("i", { class: `swatch k${(index % 6) + 1}` }), h("code", {}, each.name || t("lookup.number"))), h("td", { class: "num" }, figure(each.values.at(-1)))));
    fill(this.answer, answer.times.length > 1 ? place : null, h("div", { class: "scroll", tabindex: 0 }, h("table", {}, h("tbody", {}, rows))),
      answer.left_out ? h("p", { class: "quiet small" }, t("lookup.left_out", { count: answer.left_out })) : null,
      answer.cut_short ? h("p", { class: "quiet small" }, t("lookup.cut_short")) : null,
      h("p", { class: "quiet small" }, t("lookup.at", { at: clock(answer.times.at(-1) - this.session.state.zero) })));
    this.plot = answer.times.length > 1 ? () => plotAnswer(place, answer, this.session.state.zero) : null;
    this.plot?.();
  }

  draw() {
    const mark = this.session.items.size;
    if (mark === this.drawn) return;
    this.drawn = mark;
    for (const { state, match } of this.steps) {
      const deed = this.session.deed(match);
      fill(state, deed ? chip(deed) : null);
    }
  }
}

const runs = (given) => given.map((run) => (run.look === "code" ? h("code", {}, run.text) : run.look === "strong" ? h("strong", {}, run.text) : run.text));

function block(each) {
  if (each.kind === "heading") return h("h3", {}, runs(each.runs));
  if (each.kind === "code") return h("pre", {}, each.runs.map((run) => run.text).join(""));
  if (each.kind === "item") return h("div", { class: `item depth${Math.min(3, each.level)}` }, h("span", {}, each.mark), h("span", {}, runs(each.runs)));
  return h("p", {}, runs(each.runs));
}

function table(rows) {
  return h("div", { class: "scroll", tabindex: 0 }, h("table", {}, h("tbody", {}, rows.map((row) => h("tr", {}, row.cells.map((cell) => h(row.level ? "th" : "td", {}, runs(cell))))))));
}

function marked(line, search) {
  if (!search) return line || " ";
  const parts = [];
  const lower = line.toLowerCase(), wanted = search.toLowerCase();
  let at = 0;
  for (let next = lower.indexOf(wanted); next >= 0 && parts.length < 200; next = lower.indexOf(wanted, at)) {
    parts.push(line.slice(at, next), h("mark", {}, line.slice(next, next + wanted.length)));
    at = next + wanted.length;
  }
  return [...parts, line.slice(at)];
}
