import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { expect, test } from "vitest";
import type { RequestId } from "../core/ids.ts";
import { ENVELOPE_BYTES_MAX } from "../core/limits.ts";
import { at, attempt, cleanups, echo, OCTETS, PATH, type SignalingNode, start } from "./signaling.fixture.ts";
import { createSignaling } from "./signaling.ts";

const url = ({ port }: { readonly port: number | null }): string => `http://127.0.0.1:${port}${PATH}`;

const post = (
  node: SignalingNode,
  body: Uint8Array<ArrayBuffer> | string,
  headers: Record<string, string> = {},
) => fetch(url(node), { method: "POST", body, headers: { "content-type": OCTETS, ...headers } });

/** Sends text as it is; resolves with all that came back when the other side has closed. */
function rawExchange(port: number, text: string, host = "127.0.0.1"): Promise<string> {
  const { socket, closed } = rawSocket(port, host);
  socket.write(text, "latin1");
  return closed;
}

function rawSocket(port: number, host = "127.0.0.1", localAddress = "127.0.0.1") {
  const socket = connect({ port, host, localAddress });
  cleanups.push(() => socket.destroy());
  let received = "";
  socket.setEncoding("latin1");
  socket.on("data", (text) => {
    received += String(text);
  });
  // A reset is one of the ways to be closed.
  socket.on("error", () => {});
  const closed = new Promise<string>((resolve) => socket.once("close", () => resolve(received)));
  const until = async (part: string): Promise<string> => {
    while (!received.includes(part)) {
      await new Promise((resolve) => socket.once("data", resolve).once("close", resolve));
      if (socket.closed && !received.includes(part)) throw new Error(`closed after: ${received}`);
    }
    return received;
  };
  return { socket, closed, until };
}

const head = (contentLength: number | string, more = ""): string =>
  `POST ${PATH} HTTP/1.1\r\nhost: node\r\ncontent-type: ${OCTETS}\r\ncontent-length: ${contentLength}\r\n${more}\r\n`;
const chunkedHead = `POST ${PATH} HTTP/1.1\r\nhost: node\r\ncontent-type: ${OCTETS}\r\ntransfer-encoding: chunked\r\n\r\n`;
const statusOf = (response: string): string => response.slice(0, "HTTP/1.1 200".length);

test("server: an envelope reaches the core with the client's address, and its answer comes back", async () => {
  const node = await start(() => ({ tag: "envelope", envelope: Uint8Array.of(9, 8, 7) }));
  const response = await post(node, Uint8Array.of(1, 2, 3));
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe(OCTETS);
  expect(response.headers.get("access-control-allow-origin")).toBe("*");
  expect(new Uint8Array(await response.arrayBuffer())).toEqual(Uint8Array.of(9, 8, 7));
  const envelope = Uint8Array.of(1, 2, 3);
  expect(node.events).toEqual([
    { type: "event/signalReceived", requestId: 1, remoteAddress: "127.0.0.1", envelope },
  ]);
});

test("server: requests have growing numbers, or those of the counter it is given", async () => {
  const node = await start(echo);
  for (let count = 0; count < 3; count++) await (await post(node, "x")).text();
  expect(node.events).toMatchObject([{ requestId: 1 }, { requestId: 2 }, { requestId: 3 }]);
  let last = 100;
  const other = await start(echo, { nextRequestId: () => ++last as RequestId });
  await (await post(other, "x")).text();
  expect(other.events).toMatchObject([{ requestId: 101 }]);
});

test.each([
  [{ tag: "undecodable" }, 400, null],
  [{ tag: "rateLimited", retryAfterS: 2 }, 429, "2"],
  [{ tag: "rateLimited", retryAfterS: 0.2 }, 429, "1"],
  [{ tag: "unavailable", retryAfterS: 60 }, 503, "60"],
  [{ tag: "unavailable", retryAfterS: 3600 }, 503, "60"],
] as const)("server: the reply %o becomes status %i", async (reply, status, retryAfter) => {
  const response = await post(await start(() => reply), "x");
  expect(response.status).toBe(status);
  expect(response.headers.get("retry-after")).toBe(retryAfter);
  expect(response.headers.get("access-control-allow-origin")).toBe("*");
  expect(response.headers.get("content-type")).toContain("text/plain");
});

test("server: a second reply, and one for an unknown request, are ignored", async () => {
  const node = await start();
  const response = post(node, "x");
  await node.until(1);
  node.signaling.reply(77 as RequestId, { tag: "undecodable" });
  node.signaling.reply(1 as RequestId, { tag: "envelope", envelope: Uint8Array.of(5) });
  node.signaling.reply(1 as RequestId, { tag: "undecodable" });
  expect(new Uint8Array(await (await response).arrayBuffer())).toEqual(Uint8Array.of(5));
});

test("server: bodies from none to the greatest envelope are handed on, in any framing", async () => {
  const node = await start(({ envelope }) => ({ tag: "rateLimited", retryAfterS: envelope.length % 60 }));
  const sizes = [0, 1, ENVELOPE_BYTES_MAX - 1, ENVELOPE_BYTES_MAX];
  for (const size of sizes) expect((await post(node, new Uint8Array(size).fill(3))).status).toBe(429);
  const chunks = `${"1\r\nx\r\n".repeat(300)}0\r\n\r\n`;
  const { socket, until } = rawSocket(node.port);
  socket.write(chunkedHead + chunks);
  await until("\r\n\r\n");
  const lengths = node.events.map((event) => event.type === "event/signalReceived" && event.envelope.length);
  expect(lengths).toEqual([...sizes, 300]);
});

test("server: over 16 KiB by Content-Length is 413 before the body is sent", async () => {
  const node = await start(echo);
  for (const length of [ENVELOPE_BYTES_MAX + 1, 10_000_000_000]) {
    const { socket, until } = rawSocket(node.port);
    socket.write(head(length));
    expect(statusOf(await until("\r\n\r\n"))).toBe("HTTP/1.1 413");
    socket.destroy();
  }
  expect(node.events).toEqual([]);
});

test("server: over 16 KiB in chunks is 413 while it is read", async () => {
  const node = await start(echo);
  const { socket, until } = rawSocket(node.port);
  socket.write(chunkedHead);
  socket.write(`4000\r\n${"x".repeat(0x4000)}\r\n`);
  socket.write("1\r\nx\r\n");
  expect(statusOf(await until("\r\n\r\n"))).toBe("HTTP/1.1 413");
  expect(node.events).toEqual([]);
});

test("server: a client that sends all of a refused body first still sees the answer", async () => {
  const node = await start(echo);
  for (const more of ["", "connection: close\r\n"]) {
    const size = 700_000;
    const { socket, until, closed } = rawSocket(node.port);
    socket.write(head(size, more));
    await new Promise((resolve) => socket.write("x".repeat(size), resolve));
    expect(statusOf(await until("\r\n\r\n"))).toBe("HTTP/1.1 413");
    if (more !== "") await closed;
  }
  expect((await post(node, new Uint8Array(900_000))).status).toBe(413);
});

test("server: a refused body is not read without end", async () => {
  const node = await start(echo);
  const { socket, closed } = rawSocket(node.port);
  socket.write(head(1_000_000_000));
  const flood = (): void => {
    while (!socket.destroyed && socket.write("x".repeat(65_536)));
  };
  socket.on("drain", flood);
  flood();
  const received = await closed;
  expect(["", "HTTP/1.1 413"]).toContain(statusOf(received));
  expect(socket.bytesWritten).toBeLessThan(500_000_000);
});

test("server: other methods are 405 with Allow, other paths 404, other content types 415", async () => {
  const node = await start(echo);
  for (const method of ["GET", "HEAD", "PUT", "DELETE", "PATCH", "PROPFIND"]) {
    const response = await fetch(url(node), { method });
    expect([method, response.status]).toEqual([method, 405]);
    expect(response.headers.get("allow")).toBe("POST, OPTIONS");
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
  }
  for (const path of [
    "/",
    "/pollen/1/signal/",
    "/pollen/2/signal",
    "/pollen/1",
    "/POLLEN/1/SIGNAL",
    "/%2e%2e",
  ]) {
    const headers = { "content-type": OCTETS };
    const response = await fetch(`http://127.0.0.1:${node.port}${path}`, {
      method: "POST",
      body: "x",
      headers,
    });
    expect([path, response.status]).toEqual([path, 404]);
    expect(response.headers.get("access-control-allow-origin")).toBe(null);
  }
  for (const type of [
    "text/plain",
    "application/json",
    "application/octet-streams",
    "nonsense",
    ";",
    "x/y; z",
  ]) {
    expect([type, (await post(node, "{}", { "content-type": type })).status]).toEqual([type, 415]);
  }
  const untyped = head(1).replace(/content-type.*\r\n/, "connection: close\r\n");
  expect(statusOf(await rawExchange(node.port, `${untyped}x`))).toBe("HTTP/1.1 415");
  expect(statusOf(await rawExchange(node.port, untyped.replace(": 1", ": 0")))).toBe("HTTP/1.1 415");
  expect(node.events).toEqual([]);
  const withParameter = await post(node, "x", { "content-type": "Application/Octet-Stream; q=1" });
  expect(withParameter.status).toBe(200);
});

test("server: a browser's preflight is answered for this path", async () => {
  const node = await start(echo);
  const response = await fetch(url(node), {
    method: "OPTIONS",
    headers: { origin: "https://example.org", "access-control-request-method": "POST" },
  });
  expect(response.status).toBe(204);
  expect(response.headers.get("access-control-allow-origin")).toBe("*");
  expect(response.headers.get("access-control-allow-methods")).toBe("POST");
  expect(response.headers.get("access-control-allow-headers")).toBe("content-type");
});

test("server: an undecodable URL is refused without details", async () => {
  const node = await start(echo);
  const response = await rawExchange(
    node.port,
    "GET /%zz HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n",
  );
  expect(statusOf(response)).toBe("HTTP/1.1 400");
  expect(response).toMatch(/\r\n\r\nBad Request\n$/);
});

test("server: if the core never replies, the answer is 503, and a later reply is ignored", async () => {
  const node = await start(() => null, { limits: { replyTimeoutMs: 100 } });
  const response = await post(node, "x");
  expect(response.status).toBe(503);
  expect(Number(response.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  node.signaling.reply(1 as RequestId, { tag: "undecodable" });
});

test("server: a client that leaves before the reply does no harm", async () => {
  const node = await start();
  const { socket } = rawSocket(node.port);
  socket.write(`${head(1)}x`);
  await node.until(1);
  socket.destroy();
  node.signaling.reply(1 as RequestId, { tag: "undecodable" });
  expect(node.events.length).toBe(1);
});

const IMPATIENT = { headTimeoutMs: 150, requestTimeoutMs: 150, checkIntervalMs: 20 };

test("server: a body that takes too long is cut, without an event", async () => {
  const node = await start(echo, { limits: IMPATIENT });
  const { socket, closed } = rawSocket(node.port);
  socket.write(`${head(1_000)}first`);
  const drip = setInterval(() => socket.write("x"), 20);
  cleanups.push(() => clearInterval(drip));
  expect(statusOf(await closed)).toBe("HTTP/1.1 408");
  expect(node.events).toEqual([]);
});

test("server: a head that takes too long, or never starts, is cut", async () => {
  const node = await start(echo, { limits: IMPATIENT });
  const slow = rawExchange(node.port, `POST ${PATH} HTTP/1.1\r\nhost:`);
  expect(statusOf(await slow)).toBe("HTTP/1.1 408");
  expect(statusOf(await rawExchange(node.port, ""))).toBe("HTTP/1.1 408");
});

test("server: a refused body that goes on and on is cut, and its answer stays readable", async () => {
  const node = await start(echo, { limits: IMPATIENT });
  const { socket, closed } = rawSocket(node.port);
  socket.write(head(1_000_000));
  const drip = setInterval(() => socket.write("x"), 20);
  cleanups.push(() => clearInterval(drip));
  expect(await closed).toMatch(/^HTTP\/1\.1 413.*\r\n\r\nPayload Too Large\n$/s);
});

test("server: a connection without further requests is closed", async () => {
  const node = await start(echo, { limits: { idleTimeoutMs: 50 } });
  expect(statusOf(await rawExchange(node.port, `${head(1)}x`))).toBe("HTTP/1.1 200");
});

test.each([
  ["garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ["a bad Content-Length", head("12x")],
  ["two lengths", head(1, "transfer-encoding: chunked\r\n")],
  ["a bad chunk", `${chunkedHead}zz\r\n`],
  ["a negative Content-Length", head(-1)],
])("server: %s is 400 and the end of the connection", async (_what, text) => {
  const node = await start(echo);
  expect(statusOf(await rawExchange(node.port, text))).toBe("HTTP/1.1 400");
  expect((await post(node, "still here")).status).toBe(200);
});

test("server: a head without end is refused", async () => {
  const node = await start(echo);
  const response = await rawExchange(node.port, head(0, `x-long: ${"x".repeat(20_000)}\r\n`));
  expect(statusOf(response)).toBe("HTTP/1.1 431");
});

test("server: a POST without a length has an empty body, which the core refuses", async () => {
  const node = await start(({ envelope }) => (envelope.length === 0 ? { tag: "undecodable" } : null));
  const request = head(0, "connection: close\r\n").replace("content-length: 0\r\n", "");
  expect(statusOf(await rawExchange(node.port, request))).toBe("HTTP/1.1 400");
});

test("server: garbage after a request does not reach the core", async () => {
  const node = await start(echo);
  const { socket, closed, until } = rawSocket(node.port);
  socket.write(`${head(1)}x`);
  await until("\r\n\r\nx");
  socket.write("garbage\r\n\r\n");
  expect(await closed).not.toContain("HTTP/1.1 400");
  expect(node.events.length).toBe(1);
});

test("server: pipelined requests are answered in order, and no more of them than allowed", async () => {
  const node = await start(undefined, { limits: { requestsPerSocketMax: 3, idleTimeoutMs: 50 } });
  const { socket, closed } = rawSocket(node.port);
  for (const body of ["a", "b", "c", "d", "e"]) socket.write(head(1) + body);
  await node.until(3);
  for (const event of [...node.events].reverse()) {
    if (event.type === "event/signalReceived") node.signaling.reply(event.requestId, echo(event));
  }
  const received = await closed;
  expect(received).toMatch(/\r\n\r\na.*\r\n\r\nb.*\r\n\r\nc/s);
  expect(node.events.length).toBe(3);
});

test("server: when all sockets are taken, the slowest request makes room, one before the core does not", async () => {
  const node = await start(({ envelope }) => (envelope[0] === 0x77 ? null : { tag: "undecodable" }), {
    limits: { socketsMax: 3 },
  });
  const waiting = rawSocket(node.port);
  waiting.socket.write(`${head(1)}w`);
  await node.until(1);
  const [slow, slower] = [rawSocket(node.port), rawSocket(node.port)];
  slow.socket.write(head(5));
  await new Promise((resolve) => slow.socket.once("connect", resolve));
  slower.socket.write(head(5));
  await new Promise((resolve) => slower.socket.once("connect", resolve));
  expect((await post(node, "x")).status).toBe(400);
  await slow.closed;
  expect(slower.socket.destroyed).toBe(false);
  node.signaling.reply(1 as RequestId, { tag: "envelope", envelope: Uint8Array.of(0x79) });
  expect(statusOf(await waiting.until("\r\n\r\ny"))).toBe("HTTP/1.1 200");
});

test("server: a flood of silent connections does not shut others out", async () => {
  const node = await start(echo, { limits: { socketsMax: 16 } });
  for (let count = 0; count < 60; count++) rawSocket(node.port);
  for (let count = 0; count < 5; count++) expect((await post(node, "x")).status).toBe(200);
});

test("server: a crowd of one address group crowds out itself, and nobody who came before it (P25)", async () => {
  const node = await start(echo, { limits: { socketsMax: 8 } });
  const early = ["127.0.0.1", "127.0.2.1"].map((address) => rawSocket(node.port, "127.0.0.1", address));
  for (const { socket } of early) await once(socket, "connect");
  const crowd = Array.from({ length: 60 }, () => rawSocket(node.port, "127.0.0.1", "127.0.1.1"));
  let ended = 0;
  // Six of them have room besides the two.
  await new Promise<void>((resolve) => {
    for (const { closed } of [...early, ...crowd]) void closed.then(() => ++ended === 54 && resolve());
  });
  expect(early.map(({ socket }) => socket.destroyed)).toEqual([false, false]);
  for (const { socket, until } of early) {
    socket.write(`${head(1)}x`);
    expect(statusOf(await until("\r\n\r\nx"))).toBe("HTTP/1.1 200");
  }
  expect(crowd.filter(({ socket }) => !socket.destroyed)).toHaveLength(6);
});

test("server: where all of the largest group is before the core, the next one makes room (P25)", async () => {
  const node = await start(() => null, { limits: { socketsMax: 4 } });
  const busy = [1, 2, 3].map(() => rawSocket(node.port, "127.0.0.1", "127.0.1.1"));
  for (const { socket } of busy) socket.write(`${head(1)}x`);
  await node.until(3);
  const [idle, newcomer] = [rawSocket(node.port), rawSocket(node.port)];
  await Promise.race([...busy, idle, newcomer].map(({ closed }) => closed));
  expect([...busy, idle, newcomer].map(({ socket }) => socket.destroyed)).toEqual([
    false,
    false,
    false,
    true,
    false,
  ]);
});

const forwarded = async (node: SignalingNode, header: string): Promise<string> => {
  const count = node.events.length;
  await (await post(node, "x", { "x-forwarded-for": header })).text();
  const event = node.events[count];
  return event?.type === "event/signalReceived" ? event.remoteAddress : "";
};

test("server: X-Forwarded-For counts only from trusted proxies", async () => {
  const open = await start(echo);
  expect(await forwarded(open, "203.0.113.9")).toBe("127.0.0.1");
  const elsewhere = await start(echo, { trustedProxies: ["10.0.0.0/8", "::1"] });
  expect(await forwarded(elsewhere, "203.0.113.9")).toBe("127.0.0.1");
});

test("server: behind proxies the client is the last hop that is not trusted", async () => {
  const node = await start(echo, { trustedProxies: ["127.0.0.1", "10.0.0.0/8"] });
  expect(await forwarded(node, "203.0.113.9")).toBe("203.0.113.9");
  expect(await forwarded(node, "198.51.100.1, 203.0.113.9, 10.1.2.3")).toBe("203.0.113.9");
  expect(await forwarded(node, "::ffff:203.0.113.9")).toBe("203.0.113.9");
  expect(await forwarded(node, "2001:DB8:0:0::0001")).toBe("2001:db8::1");
  expect(await forwarded(node, "203.0.113.9, nonsense, 10.1.2.3")).toBe("10.1.2.3");
  expect(await forwarded(node, "")).toBe("127.0.0.1");
});

test("server: what is no address of a proxy is refused at the start", async () => {
  const options = { emit: () => {}, listen: { host: "127.0.0.1", port: 0 }, trustedProxies: ["my-proxy"] };
  await expect(createSignaling(options)).rejects.toThrow('"my-proxy" is neither an IP address nor a range');
});

test("server: why it cannot listen is the error of the system", async () => {
  const listenOn = (host: string, port: number) =>
    createSignaling({ emit: () => {}, listen: { host, port } });
  const { port } = await start();
  await expect(listenOn("127.0.0.1", port)).rejects.toMatchObject({ code: "EADDRINUSE", port });
  await expect(listenOn("203.0.113.1", 0)).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
});

test("close: open requests are answered with 503, posts fail, later ones too, and nothing listens", async () => {
  const node = await start();
  const answer = post(node, "x");
  const silent = rawSocket(node.port);
  silent.socket.write(head(5));
  node.signaling.post(attempt(4), at(node.port), Uint8Array.of(1));
  await node.until(2);
  await Promise.all([node.signaling.close(), node.signaling.close()]);
  expect((await answer).status).toBe(503);
  expect((await answer).headers.get("retry-after")).toBe("1");
  await silent.closed;
  node.signaling.post(attempt(5), at(node.port), Uint8Array.of(1));
  node.signaling.reply(1 as RequestId, { tag: "undecodable" });
  const outcome = { tag: "failed", error: "the node is stopping" };
  expect((await node.until(4)).slice(2)).toEqual([
    { type: "event/signalAnswered", attemptId: 4, outcome },
    { type: "event/signalAnswered", attemptId: 5, outcome },
  ]);
  await expect(post(node, "x")).rejects.toThrow("fetch failed");
});

test("server: clients on other stacks keep their connection alive", async () => {
  const node = await start(echo);
  const { socket, until } = rawSocket(node.port);
  for (const body of ["a", "b", "c"]) {
    socket.write(head(1) + body);
    await until(`\r\n\r\n${body}`);
  }
  const response = await new Promise<number | undefined>((resolve) =>
    httpRequest(url(node), { method: "POST", headers: { "content-type": OCTETS } }, (answer) =>
      resolve(answer.resume().statusCode),
    ).end("x"),
  );
  expect(response).toBe(200);
});
