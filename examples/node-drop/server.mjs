// A drop: limited sneakers, one pair for each member. Members are called u00042; Redis keeps all.
//
// Only who holds the lock may sell. The lock has a time limit, so that a crash cannot stop the
// sale for ever. That is the mistake, and it is left in on purpose: see README.md.
import { randomUUID } from "node:crypto";
import http from "node:http";
import { setTimeout as wait } from "node:timers/promises";
import { Redis } from "./redis.mjs";

const LOCK_MS = 400;
const PATIENCE_MS = 2000;
const UNLOCK = `if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end`;
const redis = new Redis(process.env.REDIS_URL);

async function locked(drop, work) {
  const key = `lock:${drop}`;
  const mine = randomUUID();
  const latest = Date.now() + PATIENCE_MS;
  while ((await redis.send("SET", key, mine, "NX", "PX", LOCK_MS)) === null) {
    if (Date.now() > latest) return { code: 503, msg: "busy, try again" };
    await wait(2 + Math.random() * 6);
  }
  const answer = await work();
  await redis.send("EVAL", UNLOCK, 1, key, mine);
  return answer;
}

async function enter(drop, member) {
  const winners = `winners:${drop}`;
  if (await redis.send("HEXISTS", winners, member)) return { code: 1001, msg: "one pair each" };
  const left = Number(await redis.send("GET", `left:${drop}`));
  if (left <= 0) return { code: 1002, msg: "sold out" };
  const entry = randomUUID();
  await redis.send("HSET", winners, member, entry);
  await redis.send("SET", `left:${drop}`, left - 1);
  return { code: 0, msg: "ok", data: { entry } };
}

async function create(drop, pairs) {
  await redis.send("MSET", `stock:${drop}`, pairs, `left:${drop}`, pairs);
  return { code: 0, msg: "ok" };
}

async function winners(drop) {
  const flat = await redis.send("HGETALL", `winners:${drop}`);
  const rows = [];
  for (let at = 0; at < flat.length; at += 2) rows.push({ userId: flat[at], issueId: flat[at + 1] });
  return { code: drop, stock: Number(await redis.send("GET", `stock:${drop}`)), rows };
}

async function answer(request, body) {
  const [, what, drop] = new URL(request.url, "http://here").pathname.split("/");
  const form = new URLSearchParams(body);
  if (what === "health") return { code: 0, msg: await redis.send("PING") };
  if (what === "drops") return create(drop, Number(form.get("pairs")));
  if (what === "enter") return locked(drop, () => enter(drop, form.get("member")));
  if (what === "winners") return winners(drop);
  return { code: 404, msg: "no such page" };
}

// As in many shops every answer is a 200, and the body says what it means.
http
  .createServer(async (request, response) => {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    let said;
    try {
      said = await answer(request, Buffer.concat(pieces).toString());
    } catch (error) {
      said = { code: 500, msg: error.message };
    }
    response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(said));
  })
  .listen(Number(process.env.PORT), "127.0.0.1");
