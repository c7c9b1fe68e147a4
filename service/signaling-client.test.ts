import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { expect, test } from "vitest";
import { ENVELOPE_BYTES_MAX } from "../core/limits.ts";
import type { DialAddress } from "../core/multiaddr.ts";
import type { SignalOutcome } from "../core/services.ts";
import { at, attempt, cleanups, echo, OCTETS, PATH, start } from "./signaling.fixture.ts";

/** What a node that does not listen makes of one post; fails if there is more than one outcome. */
async function dial(
  address: DialAddress,
  { postTimeoutMs = 5_000, envelope = Uint8Array.of(1, 2, 3) } = {},
): Promise<SignalOutcome> {
  const node = await start(undefined, { listen: undefined, postTimeoutMs });
  expect(node.signaling.port).toBe(null);
  node.signaling.post(attempt(3), address, envelope);
  expect(node.events).toEqual([]);
  const [event] = await node.until(1);
  await node.signaling.close();
  await new Promise((resolve) => setImmediate(resolve));
  expect(node.events.length).toBe(1);
  if (event?.type !== "event/signalAnswered") throw new Error("no outcome");
  expect(event.attemptId).toBe(3);
  return event.outcome;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

async function httpListener(handler: RequestListener, host = "127.0.0.1"): Promise<number> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  cleanups.push(() => server.closeAllConnections());
  cleanups.push(() => server.close());
  return portOf(server);
}

async function tcpListener(onSocket: (socket: Socket) => void): Promise<number> {
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    cleanups.push(() => socket.destroy());
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => server.close());
  return portOf(server);
}

const failedWith = (error: string) => ({ tag: "failed", error: expect.stringContaining(error) });

test("client: an offer is posted as the protocol says, and the answer comes with the listener's address", async () => {
  const seen: unknown[] = [];
  const port = await httpListener((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { host, "content-type": type, "content-length": length } = request.headers;
      seen.push([request.method, request.url, host, type, length, Buffer.concat(chunks).toString("hex")]);
      response.setHeader("content-type", OCTETS).end(Buffer.from([4, 5, 6]));
    });
  });
  const envelope = Uint8Array.of(4, 5, 6);
  const expected = { tag: "envelope", envelope, remoteAddress: "127.0.0.1" };
  expect(await dial(at(port))).toEqual(expected);
  expect(seen).toEqual([["POST", PATH, `127.0.0.1:${port}`, OCTETS, "3", "010203"]]);
  expect(await dial(at(port, "dns4", "localhost"))).toEqual(expected);
});

test("client and server: two nodes understand each other", async () => {
  const node = await start(({ envelope }) => ({ tag: "envelope", envelope: envelope.toReversed() }));
  const envelope = new Uint8Array(ENVELOPE_BYTES_MAX).map((_, index) => index);
  const outcome = await dial(at(node.port), { envelope });
  expect(outcome).toEqual({ tag: "envelope", envelope: envelope.toReversed(), remoteAddress: "127.0.0.1" });
  const tooLong = new Uint8Array(ENVELOPE_BYTES_MAX + 1);
  expect(await dial(at(node.port), { envelope: tooLong })).toEqual({
    tag: "refused",
    status: 413,
    retryAfterS: null,
  });
});

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const probe = createTcpServer();
  probe.once("error", () => resolve(false));
  probe.listen(0, "::1", () => probe.close(() => resolve(true)));
});

test.skipIf(!hasIpv6)("client and server: IPv6 in brackets where it must be, IPv4 never mapped", async () => {
  const hosts: unknown[] = [];
  const port = await httpListener((request, response) => {
    hosts.push(request.headers.host);
    response.setHeader("content-type", OCTETS).end();
  }, "::1");
  expect(await dial(at(port, "ip6", "::1"))).toMatchObject({ tag: "envelope", remoteAddress: "::1" });
  expect(hosts).toEqual([`[::1]:${port}`]);
  const both = await start(echo, { listen: { host: "::", port: 0 } });
  expect(await dial(at(both.port))).toMatchObject({ tag: "envelope" });
  expect(await dial(at(both.port, "ip6", "::1"))).toMatchObject({ tag: "envelope" });
  expect(both.events).toMatchObject([{ remoteAddress: "127.0.0.1" }, { remoteAddress: "::1" }]);
});

test.each([
  [429, "7", 7],
  [429, "0", 1],
  [503, "86400", 60],
  [503, "999999999999999999999999", 60],
  [503, "-5", null],
  [503, "soon", null],
  [503, "Wed, 21 Oct 2026 07:28:00 GMT", null],
  [400, undefined, null],
  [500, undefined, null],
] as const)("client: status %i with Retry-After %s is a refusal", async (status, retryAfter, retryAfterS) => {
  const port = await httpListener((_request, response) => {
    if (retryAfter !== undefined) response.setHeader("retry-after", retryAfter);
    response.writeHead(status).end("go away");
  });
  expect(await dial(at(port))).toEqual({ tag: "refused", status, retryAfterS });
});

test("client: redirects are not followed", async () => {
  let requests = 0;
  const port = await httpListener((_request, response) => {
    requests++;
    response.writeHead(307, { location: PATH }).end();
  });
  expect(await dial(at(port))).toEqual(failedWith("redirects"));
  expect(requests).toBe(1);
});

test("client: another success than 200, or another content type, is a failure", async () => {
  const empty = await httpListener((_request, response) => response.writeHead(204).end());
  expect(await dial(at(empty))).toEqual(failedWith("status 204"));
  const text = await httpListener((_request, response) =>
    response.setHeader("content-type", "text/html").end("<p>"),
  );
  expect(await dial(at(text))).toEqual(failedWith("not of type application/octet-stream"));
  const none = await httpListener((_request, response) => response.end("?"));
  expect(await dial(at(none))).toEqual(failedWith("not of type application/octet-stream"));
});

test("client: an answer is read up to 16 KiB and no further", async () => {
  const port = await httpListener((request, response) => {
    response.setHeader("content-type", OCTETS);
    const write = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(1_000)));
    };
    response.on("drain", write);
    request.resume().on("end", write);
  });
  expect(await dial(at(port))).toEqual(failedWith("longer than 16384 bytes"));
  const announced = await httpListener((_request, response) => {
    response.writeHead(200, { "content-type": OCTETS, "content-length": ENVELOPE_BYTES_MAX + 1 });
    response.flushHeaders();
  });
  expect(await dial(at(announced))).toEqual(failedWith("longer than 16384 bytes"));
  const fitting = await httpListener((_request, response) =>
    response.setHeader("content-type", OCTETS).end(Buffer.alloc(ENVELOPE_BYTES_MAX)),
  );
  expect(await dial(at(fitting))).toMatchObject({ tag: "envelope" });
});

test("client: refused connections, unknown names and closed sockets are failures that say so", async () => {
  const port = await httpListener(() => {});
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  expect(await dial(at(port))).toEqual(failedWith("connection refused"));
  expect(await dial(at(port, "dns", "no-such-host.invalid"))).toMatchObject({ tag: "failed" });
  const hangUp = await tcpListener((socket) => socket.destroy());
  expect(await dial(at(hangUp))).toEqual(failedWith("closed the connection before its answer was complete"));
  const cut = await tcpListener((socket) =>
    socket.end(`HTTP/1.1 200 OK\r\ncontent-type: ${OCTETS}\r\ncontent-length: 9\r\n\r\nxx`),
  );
  expect(await dial(at(cut))).toEqual(failedWith("closed the connection before its answer was complete"));
});

test("client: an answer that ends with the connection is complete", async () => {
  const port = await tcpListener((socket) =>
    socket.end(`HTTP/1.1 200 OK\r\ncontent-type: ${OCTETS}\r\n\r\nxx`),
  );
  expect(await dial(at(port))).toMatchObject({ tag: "envelope", envelope: Uint8Array.of(0x78, 0x78) });
});

test("client: what is not HTTP, and what wants to be something else, is a failure", async () => {
  const garbage = await tcpListener((socket) => socket.write("SSH-2.0-OpenSSH_9.6\r\n"));
  expect(await dial(at(garbage))).toEqual(failedWith("not HTTP"));
  const upgrade = await tcpListener((socket) =>
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n"),
  );
  expect(await dial(at(upgrade))).toMatchObject({ tag: "failed" });
  const noTls = await httpListener(() => {});
  expect(await dial({ ...at(noTls), scheme: "https" })).toMatchObject({ tag: "failed" });
});

test("client: a listener that is silent, or never finishes, is given up in time", async () => {
  const silent = await tcpListener(() => {});
  expect(await dial(at(silent), { postTimeoutMs: 100 })).toEqual(failedWith("no answer within 0.1 s"));
  const endless = await httpListener((_request, response) => {
    response.setHeader("content-type", OCTETS).write("x");
  });
  expect(await dial(at(endless), { postTimeoutMs: 100 })).toEqual(failedWith("no answer within 0.1 s"));
  const hints = await tcpListener((socket) => {
    const timer = setInterval(() => socket.write("HTTP/1.1 103 Early Hints\r\n\r\n"), 20);
    cleanups.push(() => clearInterval(timer));
  });
  expect(await dial(at(hints), { postTimeoutMs: 100 })).toEqual(failedWith("no answer within 0.1 s"));
});

test("client: an address that cannot be dialed at all is a failure too", async () => {
  expect(await dial({ ...at(1), port: 70_000 })).toMatchObject({ tag: "failed" });
  expect(await dial(at(1, "dns", "a b"))).toMatchObject({ tag: "failed" });
});

test("client: many posts at once have one outcome each", async () => {
  const listener = await start(echo);
  const node = await start(undefined, {});
  for (let id = 0; id < 40; id++) node.signaling.post(attempt(id), at(listener.port), Uint8Array.of(id));
  const outcomes = (await node.until(40)).flatMap((event) =>
    event.type === "event/signalAnswered" && event.outcome.tag === "envelope"
      ? [[event.attemptId, event.outcome.envelope[0]] as const]
      : [],
  );
  const expected = Array.from({ length: 40 }, (_, id) => [id, id]);
  expect(outcomes.sort(([a], [b]) => a - b)).toEqual(expected);
});
