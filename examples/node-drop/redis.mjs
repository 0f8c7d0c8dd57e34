// A small client of Redis: one connection, answers in the order of the commands.
import net from "node:net";

export class Redis {
  #waiting = [];
  #left = Buffer.alloc(0);
  #socket = null;

  constructor(url) {
    this.url = new URL(url);
  }

  #connect() {
    const socket = net.connect(Number(this.url.port || 6379), this.url.hostname);
    const lost = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#left = Buffer.alloc(0);
      for (const one of this.#waiting.splice(0)) one.reject(new Error("Redis is gone"));
    };
    socket.setNoDelay(true);
    socket.on("data", (piece) => this.#read(piece));
    socket.on("error", lost);
    socket.on("close", lost);
    this.#socket = socket;
    if (this.url.password) this.send("AUTH", decodeURIComponent(this.url.password)).catch(() => {});
  }

  send(...words) {
    if (this.#socket === null) this.#connect();
    const parts = words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(`*${words.length}\r\n${parts.join("")}`);
    });
  }

  #read(piece) {
    this.#left = Buffer.concat([this.#left, piece]);
    for (let one = parse(this.#left, 0); one; one = parse(this.#left, 0)) {
      this.#left = this.#left.subarray(one.end);
      const { resolve, reject } = this.#waiting.shift();
      if (one.value instanceof Error) reject(one.value);
      else resolve(one.value);
    }
  }
}

// One answer of RESP2 at `at`, or null where it is not whole yet.
function parse(bytes, at) {
  const line = bytes.indexOf("\r\n", at);
  if (line < 0) return null;
  const text = bytes.toString("utf8", at + 1, line);
  const next = line + 2;
  switch (String.fromCharCode(bytes[at])) {
    case "+": return { value: text, end: next };
    case "-": return { value: new Error(text), end: next };
    case ":": return { value: Number(text), end: next };
    case "$": {
      const size = Number(text);
      if (size < 0) return { value: null, end: next };
      if (bytes.length < next + size + 2) return null;
      return { value: bytes.toString("utf8", next, next + size), end: next + size + 2 };
    }
    default: {
      const values = [];
      let end = next;
      for (let count = Number(text); count > 0; count -= 1) {
        const one = parse(bytes, end);
        if (one === null) return null;
        values.push(one.value);
        end = one.end;
      }
      return { value: values, end };
    }
  }
}
