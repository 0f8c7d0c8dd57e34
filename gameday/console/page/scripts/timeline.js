// What happened, in order: the records and the alerts, each in a sentence.
import { clock, h } from "./dom.js";
import { has, t } from "./texts.js";

const CLASSES = { "drill.inject": "said", "drill.hint": "said", "alert.acknowledged": "team", "order.given": "team" };

export class Timeline {
  constructor(session) {
    this.session = session;
    this.list = h("ol", { class: "line-of-time" });
    this.only = h("select", { "aria-label": t("timeline.which"), onchange: () => this.draw(true) },
      ["all", "team", "truth"].map((each) => h("option", { value: each }, t(`timeline.${each}`))));
    this.only.hidden = true;
    this.element = h("section", { class: "card", id: "timeline" },
      h("header", {}, h("h2", {}, t("timeline.title")), this.only), this.list);
    this.count = -1;
  }

  draw(force = false) {
    const { session } = this;
    const count = session.items.size + session.alertEvents.length;
    if (!force && count === this.count) return;
    const atEnd = this.list.scrollTop + this.list.clientHeight > this.list.scrollHeight - 40;
    this.count = count;
    const lines = [...session.all().map((each) => line(each, session)), ...session.alertEvents.map(alertLine)]
      .filter((each) => each !== null && this.wanted(each))
      .sort((a, b) => a.t - b.t || a.order - b.order);
    if (!lines.length) this.list.replaceChildren(h("li", {}, h("time", {}), h("span"), h("p", { class: "quiet" }, t("timeline.nothing"))));
    else this.list.replaceChildren(...lines.map((each) => this.row(each)));
    if (atEnd || force) this.list.scrollTop = this.list.scrollHeight;
  }

  wanted(each) {
    return this.only.value === "all" || (this.only.value === "team" ? !each.secret : each.secret);
  }

  row(each) {
    return h("li", { class: each.look },
      h("time", { title: this.wall(each.t) }, clock(this.session.shown(each.t))), h("span", { class: "knob" }),
      h("p", {}, each.text, each.more ? h("small", {}, ` ${each.more}`) : null));
  }

  wall(seconds) {
    const began = this.session.state.began_wall_ms;
    return began ? new Date(began + seconds * 1000).toLocaleTimeString() : "";
  }
}

function alertLine(each) {
  return { t: each.t, order: 0, look: each.state === "resolved" ? "calmed" : "alert", text: t(`timeline.alert.${each.state}`, { alert: each.name }), more: "", secret: false };
}

function line(item, session) {
  const { kind, data } = item;
  const text = sentence(kind, data, session, item);
  if (text === "") return null;
  const refused = (kind === "order.answered" && data.status === "refused") || /^(failed|interrupted)$/.test(data.status || "");
  const work = /^(step|action)\./.test(kind);
  const look = refused ? "refused" : CLASSES[kind] || (work ? (kind.endsWith("done") ? "calmed" : "team") : item.secret ? "truth" : "");
  return { t: item.t, order: 1 + item.seq, look, text, more: more(kind, data), secret: item.secret };
}

function sentence(kind, data, session, item) {
  const values = { ...data, by: data.by || t("timeline.somebody") };
  if (kind === "alert.acknowledged" && data.by === "bot") return "";
  if (kind === "responder.started" && data.by === "person") return "";
  if (kind === "order.given") {
    if (data.order === "ack" && !session.refused(item) && session.of("alert.acknowledged").some((each) => each.data.by === data.by)) return "";
    if (data.order === "act" && !session.refused(item)) return "";  // its start and its end are told
    const what = data.order === "act" ? (data.action || t("work.step_n", { step: data.step })) : "";
    return t(`timeline.order.${data.order}`, { ...values, what, text: data.text || "", to: data.to || "" });
  }
  if (kind === "order.answered") {
    return ["refused", "answered", "interrupted"].includes(data.status)
      ? t(`timeline.answer.${data.status}`, { ...values, why: data.why || "" }) : "";
  }
  if (/^(step|action)\.(started|done)$/.test(kind)) {
    const name = session.does(item);
    const step = kind.startsWith("step.") ? t("work.step_n", { step: data.step }) : "";
    const what = [data.playbook, step].filter(Boolean).join(" ") + (name ? (step ? ` (${name})` : name) : "");
    const undo = data.undoing ? ".undo" : "";
    const status = has(`status.${data.status}`) ? t(`status.${data.status}`) : data.status || "";
    return t(`timeline.${kind.endsWith("done") ? "done" : "started"}${undo}`, { ...values, what, status });
  }
  if (kind === "phase") return data.problem ? t("timeline.trouble", { why: data.problem }) : data.service || has(`timeline.phase.${data.phase}`) === false ? "" : t(`timeline.phase.${data.phase}`);
  if (kind === "drill.truth") return t("timeline.drill.truth", { what: data.what, fault: data.fault || "", text: data.text || "" });
  if (kind === "drill.inject") return t("timeline.drill.inject", { ...values, to: t(`team.${data.to}`) });
  if (kind === "drill.joined") return t("timeline.drill.joined", { ...values, role: t(`team.${data.role}`) });
  if (kind === "run.ended") return t("timeline.run.ended");
  const id = `timeline.${kind}`;
  return has(id) ? t(id, { ...values, id: data.id || "", why: data.why || "" }) : "";
}

function more(kind, data) {
  if (/\.done$/.test(kind)) return data.why || "";
  if (kind === "fault.dosed" || kind === "fault.proven") return data.why || "";
  return "";
}
