// The session as the page knows it: records, samples, alerts, and what follows from them.

const MOST_TICKS = 7200;

export class Session {
  constructor() {
    this.items = new Map();
    this.ticks = [];
    this.state = { run: "", phase: "starting", mode: "run", now: 0, zero: 0 };
    this.alerts = new Map();       // by name and labels, as they are now
    this.alertEvents = [];         // {t, name, state}
    this.heardAt = performance.now();
    this.live = false;
    this.answers = new Map();      // by the number of the order
  }

  // Takes in a batch; what is new in it: the alerts that changed, and the records.
  take(batch) {
    const fresh = { alerts: [], items: [] };
    this.state = batch.state;
    this.heardAt = performance.now();
    for (const item of batch.items) {
      if (this.items.has(item.seq)) continue;
      this.items.set(item.seq, item);
      fresh.items.push(item);
      if (item.kind === "order.answered") this.answers.set(item.data.given, item.data);
    }
    const last = this.ticks.length ? this.ticks[this.ticks.length - 1].at : -1;
    for (const tick of batch.ticks) {
      if (tick.at <= last) continue;
      this.ticks.push(tick);
      fresh.alerts.push(...this.changes(tick));
    }
    if (this.ticks.length > MOST_TICKS) this.ticks.splice(0, this.ticks.length - MOST_TICKS);
    fresh.wasLive = this.live;
    this.live = true;
    return fresh;
  }

  changes(tick) {
    if (tick.alerts === null) return [];
    const now = new Map(tick.alerts.map((each) => [key(each), each]));
    const found = [];
    for (const [id, each] of now) {
      if (this.alerts.get(id)?.state !== each.state) {
        found.push({ t: tick.t, name: each.name, state: each.state, labels: each.labels });
      }
    }
    for (const [id, each] of this.alerts) {
      if (!now.has(id) && each.state === "firing") {
        found.push({ t: tick.t, name: each.name, state: "resolved", labels: each.labels });
      }
    }
    for (const [id, each] of now) {
      const before = this.alerts.get(id);
      each.fired = before?.fired ?? (each.state === "firing" ? tick.t : undefined);
      if (each.state === "firing" && each.fired === undefined) each.fired = tick.t;
    }
    this.alerts = now;
    this.alertEvents.push(...found);
    return found;
  }

  // Now, in seconds from the first record; it stands still when the session is over.
  now() {
    if (this.state.phase === "over") return this.state.now;
    return this.state.now + (performance.now() - this.heardAt) / 1000;
  }

  shown(t) { return t - this.state.zero; }

  all() { return [...this.items.values()].sort((a, b) => a.seq - b.seq); }

  of(...kinds) { return this.all().filter((each) => kinds.includes(each.kind)); }

  orders(name) { return this.of("order.given").filter((each) => each.data.order === name && !this.refused(each)); }

  refused(given) { return this.answers.get(given.seq)?.status === "refused"; }

  firstPage() { return this.alertEvents.find((each) => each.state === "firing")?.t; }

  // When an action or a step was last begun and how it ended; undefined where it never was.
  deed(match) {
    let found;
    for (const each of this.all()) {
      if (!/^(step|action)\.(started|done)$/.test(each.kind) || !match({ ...each.data, do: this.does(each) })) continue;
      if (each.kind.endsWith("started")) found = { undoing: each.data.undoing, status: "under_way" };
      else found = { undoing: each.data.undoing, status: each.data.status, why: each.data.why };
    }
    return found;
  }

  // What a record of a step is about: the action that the step does, also where it is taken back.
  does(item) {
    if (!item.kind.startsWith("step.")) return item.data.do;
    const begun = this.all().find((each) => each.kind === "step.started" && !each.data.undoing && sameStep(each.data, item.data));
    return begun?.data.do;
  }

  // Windows of faults, of those that may see them: {from, to (null: still in), id}.
  windows() {
    const found = [];
    for (const each of this.of("fault.injected", "fault.removed", "drill.truth")) {
      const id = each.data.id ?? each.data.fault;
      const what = each.kind === "drill.truth" ? each.data.what : each.kind.slice(6);
      if (what === "injected") found.push({ from: each.t, to: null, id });
      if (what === "removed") {
        const open = found.find((one) => one.id === id && one.to === null);
        if (open) open.to = each.t;
      }
    }
    return found;
  }
}

export const sameStep = (one, other) => one.step === other.step && (one.playbook || "") === (other.playbook || "");

const key = (alert) => JSON.stringify([alert.name, Object.entries(alert.labels).sort()]);
