// The page: opens the session of its link, puts the parts in their places, and keeps them fresh.
import { clock, fill, find, h } from "./dom.js";
import { Charts } from "./charts.js";
import { Leader, Truth } from "./leader.js";
import { Lookup } from "./lookup.js";
import { call, setSession, Stream } from "./server.js";
import { Session } from "./session.js";
import { language, loadTexts, t } from "./texts.js";
import { Timeline } from "./timeline.js";
import { Work } from "./work.js";

const stored = (name, value) => {
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch { /* no storage: it lasts as long as the page */ }
  return null;
};

class Page {
  constructor(me) {
    this.me = me;
    this.session = new Session();
    this.leads = me.role === "facilitator";
    this.works = me.role === "trainee";
    this.sound = stored("gameday-sound") === "on";
    this.pages = h("section", { class: "pages", id: "pages", "aria-label": t("pages.title") });
  }

  async start() {
    const work = await call(`/api/work?lang=${language()}`);
    if (work.error) { setTimeout(() => this.start(), 1500); return; }
    this.work = work;
    const { session } = this;
    this.charts = new Charts(session);
    this.timeline = new Timeline(session);
    this.worker = new Work(session, work, !(this.works || (this.leads && !work.briefing && !work.hypotheses.length)));
    this.lookup = new Lookup(session, work, this.worker.readOnly ? null : this.worker);
    let leading = [];
    if (this.leads) {
      const [truth, links] = await Promise.all([call("/api/facilitator/truth"), call("/api/facilitator/links")]);
      this.leader = new Leader(session, work, truth, links);
      leading = this.leader.elements.filter(Boolean);
      this.timeline.only.hidden = false;
      this.charts.planned = (truth.faults || []).map((each) => ({ from: each.at, to: each.until }));
    }
    const briefing = work.briefing ? h("section", { class: "card", id: "briefing" }, h("h2", {}, t("page.briefing")), h("p", { class: "briefing" }, work.briefing)) : null;
    fill(find("#main"), this.pages, h("div", { class: "columns" },
      h("div", { class: "stack watch" }, briefing, this.charts.element, this.lookup.element, this.timeline.element),
      h("div", { class: "stack work" }, leading, this.worker.elements)));
    find("#title").textContent = work.title;
    document.title = `${work.title} · gameday`;
    find("#role").textContent = me_words(this.me);
    this.drawJump();
    this.stream = new Stream((batch) => this.take(batch), (open) => this.line(open), () => login(t("login.over")));
    this.timer = setInterval(() => this.beat(), 500);
    if (this.works && !this.me.name) this.join();
  }

  take(batch) {
    const before = this.session.state;
    const fresh = this.session.take(batch);
    for (const each of fresh.alerts) if (fresh.wasLive && this.session.now() - each.t < 20) this.announce(each);
    for (const each of fresh.items) if (fresh.wasLive && each.kind === "drill.inject") announce(t("page.said", { text: each.data.text }));
    for (const each of fresh.items) if (fresh.wasLive && each.kind === "drill.hint") announce(t("page.hinted", { text: each.data.text }));
    if (fresh.items.some((each) => ["drill.started", "run.ended", "drill.debriefed"].includes(each.kind)) && fresh.wasLive) this.again();
    else if (before.phase !== this.session.state.phase && before.run && fresh.wasLive) this.again();
    this.draw();
  }

  // What there is to work with may be another thing now: a drill has begun, or is over.
  async again() {
    const work = await call(`/api/work?lang=${language()}`);
    if (work.error) return;
    if (JSON.stringify(work) !== JSON.stringify(this.work)) location.reload();
  }

  announce(alert) {
    announce(t(`page.alert.${alert.state}`, { alert: alert.name }));
    if (alert.state === "firing" && this.sound) beep();
  }

  line(open) {
    find("#line").classList.toggle("away", !open);
    find("#line-text").textContent = t(open ? "line.open" : "line.away");
    this.away = !open;
    this.drawBanner();
  }

  draw() {
    this.drawPages();
    this.drawBanner();
    document.body.classList.toggle("table", this.session.state.mode === "tabletop");
    this.charts.draw();
    this.timeline.draw();
    this.worker.draw();
    this.lookup.draw();
    this.leader?.draw();
    this.drawEnd();
    this.beat();
  }

  // When it is over nothing can be ordered; after a debrief everybody sees what was true.
  drawEnd() {
    const { state } = this.session;
    for (const each of this.worker.elements) each.toggleAttribute("inert", state.phase === "over");
    if (this.leader || !state.debriefed) return;
    this.told ??= new Truth(this.session, {}, "lead.truth_told");
    if (!this.told.element.isConnected) find(".work").prepend(this.told.element);
    this.told.draw();
  }

  drawBanner() {
    const { state } = this.session;
    const [id, look] = this.away ? ["banner.away", "bad"] : state.phase === "over" ? [state.debriefed ? "banner.debriefed" : "banner.over", "over"]
      : state.debriefed ? ["banner.debriefed", "over"] : state.paused ? ["banner.paused", ""] : state.phase === "starting" && state.run ? ["banner.starting", "over"] : ["", ""];
    const banner = find("#banner");
    banner.hidden = id === "";
    banner.className = `banner ${look}`;
    if (id && banner.textContent !== t(id)) banner.textContent = t(id);
    find("#mode").textContent = state.run ? t(`mode.${state.mode}`) : "";
  }

  // What is said to the team stands beside the alerts until it is put away; the timeline keeps it.
  drawMessages() {
    const { session } = this;
    const away = JSON.parse(sessionStorage.getItem(`gameday-read-${session.state.run}`) || "[]");
    const said = this.leads || session.state.phase === "over" ? [] : session.of("drill.inject", "drill.hint").filter((each) => !away.includes(each.seq)).slice(-3);
    this.messages = said.map((each) => h("article", { class: "page said" },
      h("span", { class: "state" }, each.kind === "drill.hint" ? t("work.hint_told") : t("page.to", { to: t(`team.${each.data.to}`) })), h("b", {}, each.data.text),
      h("button", { type: "button", class: "plain slim when", onclick: () => {
        sessionStorage.setItem(`gameday-read-${session.state.run}`, JSON.stringify([...away, each.seq]));
        this.drawPages();
      } }, t("page.read"))));
    return JSON.stringify(said.map((each) => each.seq));
  }

  drawPages() {
    const { session } = this;
    const now = [...session.alerts.values()].sort((a, b) => (a.state === b.state ? a.name.localeCompare(b.name) : a.state === "firing" ? -1 : 1));
    const mark = JSON.stringify(now.map((each) => [each.name, each.state, each.labels]));
    if (`${mark}${this.drawMessages()}` === this.drawnPages) return;
    this.drawnPages = `${mark}${this.drawMessages()}`;
    this.whens = [];
    if (!now.length) {
      const was = session.alertEvents.length > 0;
      fill(this.pages, h("p", { class: "calm" }, t(was ? "pages.calm_again" : "pages.calm")), this.messages);
      return;
    }
    fill(this.pages, now.map((each) => {
      const labels = Object.entries(each.labels).filter(([name]) => name !== "alertname").map(([name, value]) => `${name}=${value}`).join("  ");
      const when = h("span", { class: "when" });
      this.whens.push([when, each]);
      return h("article", { class: `page ${each.state}` }, h("span", { class: "state" }, t(`alert.${each.state}`)), h("b", {}, each.name), h("span", { class: "labels" }, labels), when);
    }), this.messages);
  }

  beat() {
    const { session } = this;
    const now = session.now();
    for (const [when, each] of this.whens || []) when.textContent = t("pages.for", { time: clock(now - (each.state === "firing" ? each.fired ?? each.since : each.since)) });
    const page = session.firstPage();
    const resolved = session.orders("resolved").at(-1)?.t;
    const rows = [["clock.running", session.shown(now), ""]];
    if (page !== undefined) {
      const newest = session.alertEvents.filter((each) => each.state === "firing").at(-1).t;
      rows.push(["clock.page", (resolved ?? now) - page, ""]);
      if (newest !== page) rows.push(["clock.alert", (resolved ?? now) - newest, ""]);
      if (this.work.updates_every_s && resolved === undefined && session.state.phase !== "over") {
        const last = Math.max(page, session.orders("update").at(-1)?.t ?? page);
        const due = last + this.work.updates_every_s - now;
        rows.push([due < 0 ? "clock.overdue" : "clock.update", Math.abs(due), due < 0 ? "late" : due < 60 ? "due" : ""]);
      }
    }
    fill(find("#clocks"), rows.map(([id, seconds, look]) => h("div", { class: look }, h("dt", {}, t(id)), h("dd", {}, clock(seconds)))));
  }

  drawJump() {
    const parts = [["pages", "jump.alerts"], ["charts", "jump.charts"], ["lookup", "jump.lookup"], [this.leads ? "truth" : "incident", this.leads ? "jump.lead" : "jump.work"], ["timeline", "jump.timeline"]];
    fill(find("#jump"), parts.map(([id, text]) => h("a", { href: `#${id}`, onclick: (event) => { event.preventDefault(); document.getElementById(id)?.scrollIntoView({ behavior: "smooth" }); } }, t(text))));
    find("#jump").hidden = false;
  }

  join() {
    const name = h("input", { name: "name", required: true, maxlength: 80, autocomplete: "nickname", autofocus: true, value: stored("gameday-name") || "" });
    const role = h("select", { name: "role" }, this.me.team.map((each) => h("option", { value: each }, t(`team.${each}`))));
    if (this.work.role) role.value = this.work.role;
    const answer = h("p", { class: "answer bad" });
    const dialog = h("dialog", { id: "join", "aria-label": t("join.title") }, h("form", { onsubmit: async (event) => {
      event.preventDefault();
      const me = await call("/api/join", { name: name.value, role: role.value });
      if (me.error) { answer.textContent = t(`error.${me.error}`); return; }
      stored("gameday-name", name.value);
      this.me = me;
      find("#role").textContent = me_words(me);
      dialog.close();
    } }, h("h2", {}, t("join.title")), h("p", { class: "quiet small" }, t("join.about")), h("label", {}, t("join.name"), name), h("label", {}, t("join.role"), role), answer,
      h("div", { class: "row" }, h("button", { class: "main" }, t("join.go")))));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  keys() {
    const row = ([key, id]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(id))];
    const list = KEYS.filter(([, , who]) => !who || !this.worker.readOnly);
    const dialog = h("dialog", { "aria-label": t("keys.title") }, h("form", { method: "dialog" }, h("h2", {}, t("keys.title")), h("dl", { class: "keys" }, list.flatMap(row)), h("div", { class: "row" }, h("button", { class: "main", autofocus: true }, t("keys.close")))));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || find("dialog[open]")) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const focus = (id) => { const element = document.getElementById(id); element?.scrollIntoView({ block: "center" }); element?.focus(); };
    const doings = {
      "?": () => this.keys(), a: () => focus("do-ack"), h: () => focus("hypothesis"), s: () => find("#severity button")?.focus(), u: () => focus("update"), n: () => focus("note"),
      x: () => find("#actions button")?.focus(), p: () => this.lookup.go("playbooks"), l: () => this.lookup.go("logs"), "/": () => this.lookup.go("logs"), q: () => this.lookup.go("query"),
      m: () => find("#sound").click(), d: () => find("#theme").click(), w: () => this.charts.toggle(),
    };
    const doing = doings[event.key];
    if (doing) { event.preventDefault(); doing(); }
  }
}

const KEYS = [["a", "keys.ack", 1], ["h", "keys.hypothesis", 1], ["s", "keys.severity", 1], ["u", "keys.update", 1], ["n", "keys.note", 1], ["x", "keys.actions", 1],
  ["p", "keys.playbooks"], ["l", "keys.logs"], ["q", "keys.query"], ["w", "keys.whole"], ["m", "keys.sound"], ["d", "keys.theme"], ["?", "keys.help"]];

function me_words(me) {
  const role = t(`role.${me.role}`);
  return me.name ? `${me.name}, ${me.team_role ? t(`team.${me.team_role}`) : role}` : role;
}

function announce(text) { find("#announce").textContent = text; }

function beep() {
  try {
    const context = new AudioContext();
    for (const [at, pitch] of [[0, 660], [0.22, 880]]) {
      const tone = context.createOscillator(), volume = context.createGain();
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.0001, context.currentTime + at);
      volume.gain.exponentialRampToValueAtTime(0.18, context.currentTime + at + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.0001, context.currentTime + at + 0.2);
      tone.connect(volume).connect(context.destination);
      tone.start(context.currentTime + at);
      tone.stop(context.currentTime + at + 0.22);
    }
    setTimeout(() => context.close(), 800);
  } catch { /* no sound here */ }
}

function tools(page) {
  const theme = find("#theme"), sound = find("#sound");
  const drawTheme = () => { find("#theme-name").textContent = t(`theme.${document.documentElement.dataset.theme || "system"}`); };
  theme.onclick = () => {
    const root = document.documentElement;
    const next = { undefined: "dark", dark: "light", light: "system" }[root.dataset.theme];
    if (next === "system") delete root.dataset.theme; else root.dataset.theme = next;
    stored("gameday-theme", next);
    drawTheme();
    page?.charts?.rebuild();
    page?.lookup?.plot?.();
  };
  const drawSound = () => { sound.textContent = t(page?.sound ? "sound.on" : "sound.off"); sound.setAttribute("aria-pressed", String(Boolean(page?.sound))); };
  sound.onclick = () => { page.sound = !page.sound; stored("gameday-sound", page.sound ? "on" : "off"); drawSound(); if (page.sound) beep(); };
  find("#keys").onclick = () => page?.keys();
  sound.hidden = find("#keys").hidden = find("#line").hidden = !page;
  drawTheme();
  drawSound();
}

function login(why) {
  find("#jump").hidden = true;
  find("#banner").hidden = true;
  fill(find("#main"), h("section", { class: "card gap login" }, h("h2", {}, t("login.title")), h("p", {}, why), h("p", { class: "quiet small" }, t("login.about"))));
  tools(null);
}

// Takes the token of a link out of the address, before anything else can go wrong.
function takeToken() {
  const token = location.hash.slice(1);
  if (token.length <= 20) return "";
  history.replaceState(null, "", location.pathname);  // it is used once, and in no history
  return token;
}

// Another link was put into this tab: the page begins anew with it.
async function changeSession() {
  const token = takeToken();
  if (!token) return;
  const me = await call("/session", { token });
  if (me.error) announce(t(`error.${me.error}`)); else location.reload();
}

async function begin() {
  const token = takeToken();
  window.addEventListener("hashchange", changeSession);
  await loadTexts();
  const me = token ? await call("/session", { token }) : await call("/api/me");
  if (me.error) { login(t(`error.${me.error}`)); return; }
  setSession(me);
  const page = new Page(me);
  tools(page);
  document.addEventListener("keydown", (event) => page.press(event));
  await page.start();
}

begin();
