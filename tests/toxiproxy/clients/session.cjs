// A session with the Node client: node session.cjs API UPSTREAM [guarded]. It prints what it saw, as
// JSON; "guarded" is a server that has a proxy p and wants a token, which this client cannot send.
"use strict";
const net = require("node:net");
const { Toxiproxy } = require("toxiproxy-node-client");

// The status of the refusal; the client keeps the server's text to itself.
async function refusal(promise) {
  try {
    await promise;
    return 0;
  } catch (error) {
    return Number(/status code (\d+)/.exec(error.message)?.[1] ?? -1);
  }
}

async function isRefused(promise) {
  try {
    await promise;
    return false;
  } catch (error) {
    return error.code === "ECONNREFUSED";
  }
}

function echoMs(listen) {
  const [host, port] = listen.split(":");
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), host);
    let begun = 0;
    socket.on("connect", () => {
      begun = performance.now();
      socket.write("hello");
    });
    socket.on("data", (data) => {
      socket.destroy();
      resolve({ text: data.toString(), ms: performance.now() - begun });
    });
    socket.on("error", (error) => reject(error));
  });
}

async function guarded(server, upstream) {
  const proxy = await server.get("p");
  const toxic = { name: "x", type: "noop", stream: "downstream", toxicity: 1, attributes: {} };
  const body = { name: "q", listen: "127.0.0.1:0", upstream };
  return {
    version: JSON.parse(await server.getVersion()).version,
    names: Object.keys(await server.getAll()),
    refused: [
      await refusal(server.createProxy(body)),
      await refusal(proxy.addToxic(toxic)),
      await refusal(proxy.update({ listen: proxy.listen, upstream, enabled: false })),
      await refusal(proxy.remove()),
      await refusal(server.populate([body])),
      await refusal(server.reset()),
    ],
  };
}

async function main(api, upstream, mode) {
  const seen = {};
  const server = new Toxiproxy(api);
  if (mode === "guarded") {
    console.log(JSON.stringify(await guarded(server, upstream)));
    return;
  }
  seen.version = JSON.parse(await server.getVersion()).version;
  const body = { name: "p", listen: "127.0.0.1:0", upstream };
  const proxy = await server.createProxy(body);
  seen.again = await refusal(server.createProxy(body));
  const toxic = await proxy.addToxic({
    name: "late",
    type: "latency",
    stream: "downstream",
    toxicity: 1,
    attributes: { latency: 80, jitter: 0 },
  });
  seen.late = await echoMs(proxy.listen);
  const updated = await toxic.update({ ...toxic.toJson(), attributes: { latency: 0, jitter: 0 } });
  seen.updated = updated.attributes.latency;
  seen.soon = await echoMs(proxy.listen);
  seen.unknown = await refusal(proxy.addToxic({ name: "x", type: "down", stream: "downstream" }));
  await toxic.remove();
  seen.removed = await refusal(proxy.getToxic("late"));
  const state = { listen: proxy.listen, upstream, enabled: false };
  seen.disabled = (await proxy.update(state)).enabled;
  seen.refused = await isRefused(echoMs(proxy.listen));
  await server.reset();
  seen.after_reset = (await server.get("p")).enabled;
  await server.populate([body, { name: "q", listen: "127.0.0.1:0", upstream }]);
  seen.names = Object.keys(await server.getAll()).sort();
  for (const each of Object.values(await server.getAll())) await each.remove();
  seen.left = Object.keys(await server.getAll()).length;
  console.log(JSON.stringify(seen));
}

main(...process.argv.slice(2));
