// What those who work on the incident do: take it, say what they believe, act, and tell others.
import { ask, fill, h } from "./dom.js";
import { call } from "./server.js";
import { t, has } from "./texts.js";

export class Work {
  constructor(session, work, readOnly) {
    Object.assign(this, { session, work, readOnly, drawn: "" });
    this.holder = h("p", { class: "quiet small" });
    this.said = h("dl", { class: "facts" });
    this.deeds = h("div");
    this.elements = readOnly ? [this.standing()] : [this.standing(), this.saying(), this.telling(), this.acting()];
  }

  // Gives an order and says at its place what was answered; true where it was heard.
  async give(order, place) {
    place.className = "answer";
    place.textContent = t("work.sending");
    const answer = await call("/api/order", order);
    if (answer.error) return this.answered(place, "bad", t(`error.${answer.error}`));
    if (!answer.ok) return this.answered(place, "bad", has(`error.${answer.why}`) ? t(`error.${answer.why}`) : answer.why);
    if (!answer.pending) return this.answered(place, "good", answer.why || t("work.heard"));
    this.answered(place, "", t("work.under_way"));
    this.waiting = { given: answer.given, place };
    this.drawAnswer();
    return true;
  }

  answered(place, look, text) {
    place.className = `answer ${look}`;
    place.textContent = text;
    return look !== "bad";
  }

  drawAnswer() {
    const answer = this.waiting && this.session.answers.get(this.waiting.given);
    if (!answer) return;
    const good = ["done", "not_applicable", "placebo", "needs_person"].includes(answer.status);
    const status = has(`status.${answer.status}`) ? t(`status.${answer.status}`) : answer.status;
    this.answered(this.waiting.place, good ? "good" : "bad", `${status}${answer.why ? ` (${answer.why})` : ""}`);
    this.waiting = null;
  }

  standing() {
    const answer = h("p", { class: "answer", role: "status" });
    const button = (order, id, look) => h("button", { type: "button", class: look, id: `do-${order}`, onclick: () => this.give({ order }, answer) }, t(id));
    const sure = (order, id) => h("button", { type: "button", id: `do-${order}`, onclick: async () => {
      if (await ask(t(`${id}_ask`), t(`${id}_means`), t(id), t("ask.no"))) this.give({ order }, answer);
    } }, t(id));
    const buttons = this.readOnly ? null : h("div", { class: "row" },
      button("ack", "work.ack", "main"), sure("mitigated", "work.mitigated"), sure("resolved", "work.resolved"),
    );
    const less = this.readOnly ? null : h("div", { class: "row" },
      h("button", { type: "button", class: "plain slim", id: "do-hand-over", onclick: () => this.handOver(answer) }, t("work.hand_over")),
      h("button", { type: "button", class: "plain slim", id: "do-stop", onclick: async () => {
        if (await ask(t("lead.abort_ask"), t("lead.abort_means"), t("lead.abort"), t("ask.no"), { danger: true })) this.give({ order: "abort", text: t("lead.abort_text") }, answer);
      } }, t("lead.abort")));
    return h("section", { class: "card gap", id: "incident" }, h("h2", {}, t("work.title")), this.holder, this.said, buttons, less, answer);
  }

  async handOver(answer) {
    const to = h("input", { name: "to", required: true, maxlength: 80, autofocus: true });
    const text = h("textarea", { name: "text", maxlength: 1000 });
    const dialog = h("dialog", { "aria-label": t("work.hand_over") }, h("form", { method: "dialog", onsubmit: () => this.give({ order: "hand-over", to: to.value, text: text.value }, answer) },
      h("h2", {}, t("work.hand_over")), h("label", {}, t("work.to"), to), h("label", {}, t("work.what_they_need"), text),
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => dialog.close() }, t("ask.no")), h("button", { class: "main" }, t("work.hand_over")))));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  saying() {
    const answer = h("p", { class: "answer", role: "status" });
    const choices = this.work.hypotheses;
    const own = h("textarea", { id: "hypothesis", maxlength: 1000, placeholder: t("work.hypothesis_example"), "aria-label": t("work.hypothesis") });
    const list = choices.length ? h("fieldset", { class: "plain-set", "aria-label": t("work.hypothesis") }, choices.map((each, index) => h("label", { class: "choice" },
      h("input", { type: "radio", name: "hypothesis", value: each, id: index ? null : "hypothesis" }), each))) : null;
    const form = h("form", { class: "gap", onsubmit: async (event) => {
      event.preventDefault();
      const text = list ? new FormData(form).get("hypothesis") : own.value.trim();
      if (!text) return this.answered(answer, "bad", t("work.hypothesis_none"));
      if (await this.give({ order: "declare", text }, answer)) own.value = "";
    } }, list || own, h("div", { class: "row" }, h("button", { class: "main", id: "do-declare" }, t("work.declare"))));
    const levels = h("div", { class: "levels", role: "group", "aria-label": t("work.severity"), id: "severity" }, this.work.severities.map((each) =>
      h("button", { type: "button", "data-severity": each, title: has(`severity.${each}`) ? t(`severity.${each}`) : each, "aria-pressed": "false", onclick: () => this.give({ order: "severity", severity: each }, answer) }, each)));
    this.levels = levels;
    return h("section", { class: "card gap", id: "belief" }, h("h2", {}, t("work.hypothesis")), form, h("h3", {}, t("work.severity")), levels, answer);
  }

  telling() {
    const answer = h("p", { class: "answer", role: "status" });
    const form = (order) => {
      const box = h("textarea", { id: order, maxlength: 1000, placeholder: t(`work.${order}_example`), "aria-label": t(`work.${order}`) });
      const send = async () => {
        if (!box.value.trim()) return this.answered(answer, "bad", t("work.empty"));
        if (await this.give({ order, text: box.value.trim() }, answer)) box.value = "";
      };
      box.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send(); } });
      return h("div", { class: "gap" }, box, h("div", { class: "row" }, h("button", { type: "button", class: order === "update" ? "main" : "", id: `do-${order}`, onclick: send }, t(`work.send_${order}`)),
        order === "note" ? h("button", { type: "button", class: "plain", id: "do-hint", onclick: async () => {
          if (await ask(t("work.hint_ask"), t("work.hint_means"), t("work.hint"), t("ask.no"))) this.give({ order: "hint" }, answer);
        } }, t("work.hint")) : null));
    };
    return h("section", { class: "card gap", id: "telling" }, h("h2", {}, t("work.telling")), form("update"), form("note"), answer);
  }

  acting() {
    this.actAnswer = h("p", { class: "answer", role: "status" });
    return h("section", { class: "card", id: "actions" }, h("h2", {}, t("work.actions")),
      h("p", { class: "quiet small" }, t("work.actions_about")), this.deeds, this.actAnswer);
  }

  async act(order, name, about) {
    const title = order.undo ? t("work.undo_ask", { what: name }) : t("work.act_ask", { what: name });
    if (await ask(title, about || t("work.act_means"), order.undo ? t("work.undo") : t("work.act"), t("ask.no"))) {
      await this.give({ order: "act", ...order }, this.actAnswer);
    }
  }

  draw() {
    this.drawAnswer();
    const { session } = this;
    const mark = `${session.items.size}/${session.state.taken}/${session.state.taken_by}/${session.state.phase}`;
    if (mark === this.drawn) return;
    this.drawn = mark;
    this.holder.textContent = session.state.taken_by ? t("work.taken", { by: session.state.taken_by }) : t("work.not_taken");
    const ack = document.getElementById("do-ack");
    if (ack) { ack.disabled = session.state.taken; ack.className = session.state.taken ? "" : "main"; }
    const last = (name) => session.orders(name).at(-1);
    const belief = last("declare"), level = last("severity"), update = last("update");
    const rows = [["work.hypothesis", belief?.data.text], ["work.severity", level?.data.severity], ["work.last_update", update?.data.text]];
    fill(this.said, rows.filter(([, value]) => value).flatMap(([id, value]) => [h("dt", {}, t(id)), h("dd", {}, value)]));
    this.said.hidden = !this.said.children.length;
    for (const each of this.levels?.children || []) each.setAttribute("aria-pressed", String(each.dataset.severity === level?.data.severity));
    this.drawDeeds();
  }

  drawDeeds() {
    const { session } = this;
    if (!this.work.actions.length) { fill(this.deeds, h("p", { class: "quiet" }, t("work.no_actions"))); return; }
    fill(this.deeds, this.work.actions.map(({ name, about }) => {
      const deed = session.deed((data) => data.do === name);
      const status = deed ? chip(deed) : null;
      const canUndo = deed && !deed.undoing && deed.status !== "under_way";
      return h("div", { class: "deed" }, h("div", { class: "what" }, name, about ? h("small", {}, about) : null), status,
        h("button", { type: "button", "data-action": name, onclick: () => this.act({ action: name }, name, about) }, t("work.act")),
        canUndo ? h("button", { type: "button", class: "plain", onclick: () => this.act({ action: name, undo: true }, name) }, t("work.undo")) : null);
    }));
  }
}

export function chip(deed) {
  const look = { done: "good", failed: "bad", interrupted: "bad", under_way: "" }[deed.status] ?? "warn";
  const id = `status.${deed.status}`;
  const text = has(id) ? t(id) : deed.status;
  return h("span", { class: `chip ${look}`, title: deed.why || "" }, deed.undoing ? t("status.undone", { status: text }) : text);
}
