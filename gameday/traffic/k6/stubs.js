// What a k6 script finds around it while gameday reads it: k6's modules and globals, which send
// nothing and write down what was asked of them. Nothing here reaches a file, a socket or a
// process: the engine has none. A script may spoil what stands here; it then spoils only the
// account of itself, which is checked as any untrusted text is.
(function () {
  "use strict";
  const stringify = JSON.stringify;
  const parse = JSON.parse;
  const OPEN = "\uE000", CLOSE = "\uE001"; // around the name of what cannot be known here
  const MOST_CALLS = 200, MOST_TEXT = 65536, MOST_OPTIONS = 1048576;
  const marked = (text) => typeof text === "string" && text.includes(OPEN);

  class Refused extends Error {}

  const facts = { env: [], refused: [], modules: [], metrics: [] };
  let inputs = { random: 0, vu: 0, iter: 0, time: 1700000000000 };
  let calls = null; // the calls of the iteration under way; null while the script is loaded
  let drawn = 0;
  let callback = null;

  // The script stands below so many empty lines, which tells its frames from those of this file.
  const ABOVE = 10000;
  function place(stack) {
    for (const [, text] of String(stack || "").matchAll(/<input>:(\d+)/g)) {
      if (Number(text) > ABOVE) return Number(text) - ABOVE;
    }
    return 0;
  }

  function line() {
    return place(new Error().stack);
  }

  function note(list, what) {
    if (list.length < MOST_CALLS && !list.some((one) => one.what === what)) {
      list.push({ what: String(what).slice(0, 300), line: line() });
    }
  }

  function record(call) {
    if (calls !== null && calls.length < MOST_CALLS) calls.push({ line: line(), ...call });
  }

  // A value that nobody can know here, and everything that can be had of it.
  function unknown(label) {
    const text = OPEN + label + CLOSE;
    const handler = {
      get(_, key) {
        if (key === Symbol.toPrimitive) return (hint) => (hint === "number" ? NaN : text);
        if (key === Symbol.iterator) return function* () { yield unknown(label); };
        if (key === "toJSON" || key === "toString") return () => text;
        if (key === "then") return undefined; // it is no promise
        return unknown(label);
      },
      apply: () => unknown(label),
      construct: () => unknown(label),
      has: () => true,
    };
    return new Proxy(function () {}, handler);
  }

  class Response {
    constructor(request) {
      this.request = request;
      this.url = request.url;
      this.status = 200;
      this.status_text = "200 OK";
      this.proto = "HTTP/1.1";
      this.error = "";
      this.error_code = 0;
      this.headers = {};
      this.cookies = {};
      this.body = OPEN + "the answer" + CLOSE;
      this.timings = { duration: 0, blocked: 0, connecting: 0, tls_handshaking: 0, sending: 0,
        waiting: 0, receiving: 0 };
    }
    json() { return unknown("the answer"); }
    html() { return unknown("the answer"); }
    submitForm() { return unknown("a form of the answer"); }
    clickLink() { return unknown("a link of the answer"); }
    with(status, took) {
      const other = Object.assign(new Response(this.request), { status });
      for (const phase of Object.keys(other.timings)) other.timings[phase] = took;
      return other;
    }
  }

  function plain(value, most = MOST_TEXT) {
    const text = value === undefined ? undefined : stringify(value);
    if (text === undefined) return null;
    if (text.length > most) throw new Refused("more than " + most + " bytes of it");
    return parse(text);
  }

  function send(method, url, body, params) {
    const given = params || {};
    const form = body !== null && typeof body === "object";
    const request = {
      kind: "http", method: String(method).toUpperCase(), url: String(url), form,
      body: body === null || body === undefined ? null : form ? stringify(body) : String(body),
      headers: plain(given.headers || {}), timeout: plain(given.timeout),
      tags: plain(given.tags || {}), auth: given.auth ? String(given.auth) : null,
      expected: plain(given.responseCallback === undefined ? callback : given.responseCallback),
    };
    if ((request.body || "").length > MOST_TEXT) request.body = OPEN + "a large body" + CLOSE;
    record(request);
    return new Response(request);
  }

  const http = {
    get: (url, params) => send("GET", url, null, params),
    head: (url, params) => send("HEAD", url, null, params),
    post: (url, body, params) => send("POST", url, body, params),
    put: (url, body, params) => send("PUT", url, body, params),
    patch: (url, body, params) => send("PATCH", url, body, params),
    del: (url, body, params) => send("DELETE", url, body, params),
    options: (url, body, params) => send("OPTIONS", url, body, params),
    request: send,
    asyncRequest: (method, url, body, params) => Promise.resolve(send(method, url, body, params)),
    batch(requests) {
      const one = (r) => {
        if (typeof r === "string") return send("GET", r, null);
        if (Array.isArray(r)) return send(r[0], r[1], r[2], r[3]);
        return send(r.method, r.url, r.body, r.params);
      };
      if (Array.isArray(requests)) return requests.map(one);
      return Object.fromEntries(Object.entries(requests).map(([name, r]) => [name, one(r)]));
    },
    expectedStatuses: (...statuses) => statuses,
    setResponseCallback(wanted) { callback = wanted; },
    url: (parts, ...values) => String.raw({ raw: parts }, ...values),
    file: () => unknown("a file"),
    cookieJar: () => unknown("a cookie jar"),
    CookieJar: function () { return unknown("a cookie jar"); },
  };
  http.delete = http.del;

  // The statuses of which a check holds, and the longest time, in ms, that it lets pass.
  function probe(test, answer) {
    const holds = (status, took) => {
      try { return Boolean(test(answer.with(status, took))); } catch (error) {
        if (error instanceof Refused) throw error;
        return false;
      }
    };
    const statuses = []; // ranges, both ends included
    for (let status = 100; status < 600; status += 1) {
      if (!holds(status, 0)) continue;
      const last = statuses.at(-1);
      if (last !== undefined && last[1] === status - 1) last[1] = status;
      else statuses.push([status, status]);
    }
    let within = null;
    if (statuses.length && !holds(statuses[0][0], 1e9)) {
      let low = 0, high = 1e9;
      for (let turn = 0; turn < 80; turn += 1) {
        const middle = (low + high) / 2;
        if (holds(statuses[0][0], middle)) low = middle; else high = middle;
      }
      within = Number(high.toPrecision(9));
    }
    return { statuses, within };
  }

  function check(value, tests) {
    for (const [name, test] of Object.entries(tests || {})) {
      const asked = value instanceof Response && typeof test === "function";
      record({ kind: "check", name: String(name), ...(asked ? probe(test, value) : {}) });
    }
    return true;
  }

  function group(name, body) {
    record({ kind: "group", name: String(name) });
    return body();
  }

  function sleep(seconds) { record({ kind: "sleep", seconds: Number(seconds) }); }
  function fail(why) { throw new Error("fail: " + why); }

  class Metric {
    constructor(name) { note(facts.metrics, name); this.name = name; }
    add() {}
  }

  function SharedArray(name, make) {
    try { return Object.freeze(make()); } catch (error) {
      if (error instanceof Refused) return unknown("data of " + name);
      throw error;
    }
  }

  const whole = (low, high) => Math.floor(Math.random() * (high - low + 1)) + low;
  const letters = "abcdefghijklmnopqrstuvwxyz";
  const utils = {
    randomIntBetween: whole,
    randomItem: (list) => list[Math.floor(Math.random() * list.length)],
    randomString(length, from = letters) {
      let text = "";
      for (let n = 0; n < length; n += 1) text += from[whole(0, from.length - 1)];
      return text;
    },
    uuidv4: () => "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, () =>
      "0123456789abcdef"[whole(0, 15)]),
    findBetween: () => unknown("a part of the answer"),
    normalDistributionStages: () => unknown("stages of a distribution"),
  };

  const execution = {
    scenario: { name: "default", executor: "", startTime: 0, progress: 0,
      get iterationInTest() { return inputs.iter; },
      get iterationInInstance() { return inputs.iter; } },
    instance: { iterationsInterrupted: 0, iterationsCompleted: 0, vusActive: 1,
      vusInitialized: 1, currentTestRunDuration: 0 },
    test: { abort(why) { throw new Error("exec.test.abort: " + why); }, options: {} },
    vu: { get idInTest() { return inputs.vu; }, get idInInstance() { return inputs.vu; },
      get iterationInScenario() { return inputs.iter; },
      get iterationInInstance() { return inputs.iter; },
      tags: {}, metrics: { tags: {}, metadata: {} } },
  };

  const k6 = { check, fail, group, sleep, randomSeed() {} };
  const metrics = { Counter: Metric, Gauge: Metric, Rate: Metric, Trend: Metric };
  const encoding = { b64encode: (text) => btoa(String(text)), b64decode: (text) => atob(text) };
  const known = { k6, "k6/http": http, "k6/metrics": metrics, "k6/data": { SharedArray },
    "k6/execution": execution, "k6/encoding": encoding };

  function modules(name) {
    if (Object.hasOwn(known, name)) return { ...known[name], default: known[name] };
    if (name.startsWith("https://jslib.k6.io/k6-utils/")) return { ...utils, default: utils };
    note(facts.modules, name);
    const nobody = unknown("module " + name);
    return new Proxy({}, { get: (_, key) => (key === "default" ? nobody : nobody[key]) });
  }

  function open(path) {
    note(facts.refused, "open('" + String(path) + "')");
    if (calls !== null) throw new Refused("open() is refused");
    return OPEN + "the file " + String(path) + CLOSE;
  }

  function require(name) {
    if (Object.hasOwn(known, name)) return modules(name);
    throw new Refused("require('" + String(name) + "') is refused: only k6's modules are here");
  }

  const given = parse(globalThis.__given);
  delete globalThis.__given;
  const env = new Proxy(given, {
    get(values, key) {
      if (typeof key === "string" && !Object.hasOwn(values, key)) note(facts.env, key);
      return Object.hasOwn(values, key) ? values[key] : undefined;
    },
  });

  JSON.parse = (text, reviver) => {
    if (!marked(text)) return parse(text, reviver);
    const from = text.slice(text.indexOf(OPEN) + 1, text.indexOf(CLOSE));
    if (from.startsWith("the file ")) throw new Refused(from + " is not read");
    return unknown(from);
  };
  // The same number every time, so that what depends on it shows; but not for ever, since a
  // script may draw until it gets another.
  Math.random = () => {
    drawn += 1;
    return drawn < 1000 ? inputs.random : (drawn * 0.6180339887498949) % 1;
  };
  const Clock = Date;
  globalThis.Date = class Date extends Clock {
    constructor(...when) { super(...(when.length ? when : [inputs.time])); }
    static now() { return inputs.time; }
  };
  const silent = () => undefined;
  const soon = (body, ms) => {
    record({ kind: "sleep", seconds: Number(ms) / 1000 });
    queueMicrotask(body);
    return 0;
  };
  Object.assign(globalThis, {
    open, require, exports: {}, module: { exports: {} }, __ENV: env,
    console: { log: silent, info: silent, warn: silent, error: silent, debug: silent },
    setTimeout: soon, setInterval: silent, clearTimeout: silent, clearInterval: silent,
  });
  Object.defineProperty(globalThis, "__VU", { get: () => inputs.vu });
  Object.defineProperty(globalThis, "__ITER", { get: () => inputs.iter });
  Object.defineProperty(globalThis, "__gameday_module", { value: modules });

  let script = {}, problem = { name: "Error", line: 0,
    message: "it waits for something that never comes, or for ever anew" };
  const told = (error) => (error instanceof Error
    ? { name: error.name, message: error.message.slice(0, 500),
        line: place(error.stack) }
    : { name: "Error", message: String(error).slice(0, 500), line: 0 });
  return {
    loaded(exported) {
      const common = Object.assign({}, globalThis.exports, globalThis.module.exports);
      script = Object.assign(common, exported);
      problem = null;
    },
    failed(error) { problem = told(error); },
    options() {
      const functions = Object.keys(script).filter((name) => typeof script[name] === "function");
      let options = null;
      try { options = plain(script.options, MOST_OPTIONS); } catch (error) {
        problem = problem || told(error);
      }
      return stringify({ options, functions, problem, facts });
    },
    begin(name, now) {
      inputs = parse(now);
      [calls, drawn, problem] = [[], 0, null];
      const data = unknown("the data of setup()");
      try {
        const ended = script[name](data);
        if (ended instanceof Promise) ended.catch((error) => { problem = told(error); });
      } catch (error) { problem = told(error); }
    },
    end() {
      const found = stringify({ calls, problem });
      calls = null;
      return found;
    },
  };
})();
