// What the page asks of the console, and the stream of what happens.

let csrf = "";

export function setSession(me) { csrf = me.csrf; }

export async function call(path, body, method = body === undefined ? "GET" : "POST") {
  const headers = { Accept: "application/json" };
  if (method !== "GET") Object.assign(headers, { "Content-Type": "application/json", "X-Gameday-CSRF": csrf });
  let response;
  try {
    response = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin", cache: "no-store", keepalive: method !== "GET",
    });
  } catch {
    return { error: "line", status: 0 };
  }
  let answer;
  try { answer = await response.json(); } catch { answer = { error: "bad" }; }
  if (!response.ok) return { error: answer.error || "bad", status: response.status };
  return answer;
}

const QUIET_MS = 7000;

// Listens until it is told to stop; comes back by itself, from where it was.
export class Stream {
  constructor(onBatch, onLine, onGone) {
    Object.assign(this, { onBatch, onLine, onGone, cursor: "", source: null, heard: 0 });
    this.open();
    this.timer = setInterval(() => this.look(), 1000);
  }

  open() {
    this.heard = performance.now();
    if (this.source) this.source.close();
    const source = new EventSource("/api/stream" + (this.cursor ? `?from=${this.cursor}` : ""));
    this.source = source;
    source.onmessage = (event) => {
      if (source !== this.source) return;
      this.heard = performance.now();
      if (event.lastEventId) this.cursor = event.lastEventId;
      this.onLine(true);
      this.onBatch(JSON.parse(event.data));
    };
    source.onerror = () => this.onLine(false);
  }

  async look() {
    if (performance.now() - this.heard < QUIET_MS && this.source.readyState !== EventSource.CLOSED) return;
    this.onLine(false);
    if (performance.now() - (this.tried || 0) < 2000) return;
    this.tried = performance.now();
    const me = await call("/api/me");
    if (me.status === 401) { this.stop(); this.onGone(); } else if (!me.error) { setSession(me); this.open(); }
  }

  stop() {
    clearInterval(this.timer);
    this.source.close();
  }
}
