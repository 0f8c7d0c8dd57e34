// What who leads sees and does beside it: the truth, hints and injects, pause, abort, debrief.
import { ask, clock, fill, h } from "./dom.js";
import { call } from "./server.js";
import { has, t } from "./texts.js";

// What is true about a session, as its plan and its records say it.
export class Truth {
  constructor(session, truth, title) {
    Object.assign(this, { session, truth, facts: h("dl", { class: "facts" }) });
    const chip = title === "lead.truth" ? h("span", { class: "chip quiet" }, t("lead.hidden")) : null;
    this.element = h("section", { class: "card truth-card", id: "truth" }, h("header", {}, h("h2", {}, t(title)), chip), this.facts);
  }

  planned() { return this.session.of("drill.planned").at(-1)?.data; }

  draw() {
    const { truth, session } = this;
    const mark = `${session.items.size}/${session.state.zero}`;
    if (mark === this.drawn) return;
    this.drawn = mark;
    const plan = this.planned();
    const came = this.session.windows();
    const rows = plan ? [
      ["lead.experiment", plan.experiment], ["lead.what", plan.title], ["lead.right", (plan.right || []).join(" / ")],
      ["lead.when", plan.fault_at_s === null || plan.fault_at_s === undefined ? t("lead.never") : t("lead.when_at", { at: clock(plan.fault_at_s) })],
      ["lead.severity", plan.severity], ["lead.playbook", plan.playbook], ["lead.questions", (plan.debrief || []).join("\n")],
    ] : [["lead.experiment", truth.experiment], ["lead.what", truth.title], ["lead.hypothesis", truth.hypothesis], ["lead.playbook", truth.playbook]];
    for (const each of truth.faults || []) rows.push(["lead.fault", t("lead.fault_line", { fault: each.fault, target: each.target || "–", from: clock(each.at), to: clock(each.until) })]);
    const now = came.filter((each) => each.to === null);
    rows.push(["lead.now", now.length ? t("lead.in", { ids: now.map((each) => each.id).join(", ") }) : came.length ? t("lead.out") : t("lead.not_yet")]);
    fill(this.facts, rows.filter(([, value]) => value).flatMap(([id, value]) => [h("dt", {}, t(id)), h("dd", { class: "briefing" }, value)]));
  }
}

export class Leader {
  constructor(session, work, truth, links) {
    Object.assign(this, { session, work, truth, links, drawn: "" });
    this.answer = h("p", { class: "answer", role: "status" });
    this.told = new Truth(session, truth, "lead.truth");
    this.hints = h("div");
    this.injects = h("div");
    this.pause = h("button", { type: "button", id: "do-pause", onclick: () => this.command({ command: session.state.paused ? "resume" : "pause" }) }, t("lead.pause"));
    this.drill = h("div", { class: "stack" });
    this.elements = [this.told.element, this.controlCard(), this.drill, this.linkCard()];
    this.made = false;
  }

  async command(order) {
    this.answer.className = "answer";
    this.answer.textContent = t("work.sending");
    const abort = order.command === "abort";
    const answer = abort ? await call("/api/order", { order: "abort", text: t("lead.abort_text") }) : await call("/api/facilitator/command", order);
    const bad = answer.error || !answer.ok;
    this.answer.className = `answer ${bad ? "bad" : "good"}`;
    const why = answer.error ? t(`error.${answer.error}`) : has(`error.${answer.why}`) ? t(`error.${answer.why}`) : answer.why;
    this.answer.textContent = bad ? why : why || t("work.heard");
    return !bad;
  }

  controlCard() {
    const sure = (command, id, look) => h("button", { type: "button", class: look, id: `do-${command}`, onclick: async () => {
      if (await ask(t(`${id}_ask`), t(`${id}_means`), t(id), t("ask.no"), { danger: command === "abort" })) this.command({ command });
    } }, t(id));
    this.debrief = sure("debrief", "lead.debrief", "");
    this.about = h("p", { class: "quiet small" }, t("lead.pause_means"));
    return h("section", { class: "card gap", id: "lead" }, h("h2", {}, t("lead.title")), h("div", { class: "row" }, this.pause, this.debrief, sure("abort", "lead.abort", "danger")), this.about, this.answer);
  }

  drillCards() {
    const to = h("select", { "aria-label": t("lead.to"), id: "inject-to" }, ["all", ...this.work.team].map((each) => h("option", { value: each }, t(`team.${each}`))));
    const text = h("textarea", { id: "inject-text", maxlength: 1000, placeholder: t("lead.inject_example"), "aria-label": t("lead.inject") });
    const send = async () => { if (text.value.trim() && await this.command({ command: "inject", to: to.value, text: text.value.trim() })) text.value = ""; };
    return [
      h("section", { class: "card gap" }, h("h2", {}, t("lead.injects")), this.injects, text, h("div", { class: "row" }, h("div", { class: "grow" }, to), h("button", { type: "button", class: "main", id: "do-inject", onclick: send }, t("lead.say")))),
      h("section", { class: "card gap" }, h("h2", {}, t("lead.hints")), this.hints),
    ];
  }

  linkCard() {
    const copy = (role, link) => {
      const button = h("button", { type: "button", onclick: async () => {
        try { await navigator.clipboard.writeText(link); button.textContent = t("lead.copied"); } catch { button.replaceWith(h("input", { value: link, readonly: true, "aria-label": t(`role.${role}`) })); }
      } }, t("lead.copy", { who: t(`role.${role}`) }));
      return button;
    };
    const entries = Object.entries(this.links).filter(([role]) => role !== "error" && role !== "status");
    if (!entries.length) return null;
    return h("section", { class: "card gap", id: "links" }, h("h2", {}, t("lead.links")), h("p", { class: "quiet small" }, t("lead.links_about")), h("div", { class: "row" }, entries.map(([role, link]) => copy(role, link))));
  }

  draw() {
    const { session } = this;
    const isDrill = session.state.mode !== "run";
    if (isDrill && !this.made) { this.made = true; fill(this.drill, this.drillCards()); }
    this.drill.hidden = !isDrill;
    this.pause.hidden = this.debrief.hidden = this.about.hidden = !isDrill;
    this.pause.textContent = t(session.state.paused ? "lead.resume" : "lead.pause");
    const mark = `${session.items.size}/${session.state.phase}/${session.state.zero}`;
    if (mark === this.drawn) return;
    this.drawn = mark;
    this.told.draw();
    if (isDrill) this.drawPlans();
  }

  drawPlans() {
    const { session } = this;
    const sent = (kind, number) => session.of(kind).some((each) => each.data.number === number);
    const row = (kind, command) => (each) => {
      const { number, text, to, after_s, at_s, on, cost } = each.data;
      const done = sent(kind, number);
      const when = on ? t("lead.on", { event: t(`event.${on}`) }) : t("lead.after", { at: clock(at_s ?? after_s ?? 0) });
      const about = [when, to ? t(`team.${to}`) : "", cost ? t("lead.cost", { cost: Math.round(cost * 100) }) : ""].filter(Boolean).join(" · ");
      return h("div", { class: "deed" }, h("div", { class: "what" }, text, h("small", {}, about)),
        done ? h("span", { class: "chip good" }, t("lead.sent")) : h("button", { type: "button", "data-plan": `${command}-${number}`, onclick: () => this.command({ command, number }) }, t("lead.send")));
    };
    const list = (kind, sentKind, command, id) => {
      const plans = session.of(kind);
      return plans.length ? plans.map(row(sentKind, command)) : h("p", { class: "quiet small" }, t(id));
    };
    fill(this.hints, list("drill.hint_planned", "drill.hint", "hint", "lead.no_hints"));
    fill(this.injects, list("drill.inject_planned", "drill.inject", "inject", "lead.no_injects"));
  }
}
