import { createHash } from "node:crypto";
import { pino } from "pino";
import { expect, test } from "vitest";
import { fromHex } from "../core/bytes.ts";
import {
  accountKey,
  ask,
  cleanups,
  exchange,
  post,
  startWithApi,
  transferHex,
  until,
} from "./api.fixture.ts";
import { startApi } from "./api.ts";
import { ephemeralKey } from "./key-file.ts";

const { node, api } = await startWithApi();

const problem = (status: number, detail: unknown = expect.any(String)) => ({
  status,
  headers: expect.objectContaining({ "content-type": "application/problem+json" }),
  json: {
    type: expect.stringMatching(/^urn:pollen:problem:\w+$/),
    title: expect.any(String),
    status,
    detail,
  },
});

test("status: who the node is, its peers and its pool", async () => {
  const { status, headers, json } = await ask(api, { path: "/v1/status" });
  expect(status).toBe(200);
  expect(headers["content-type"]).toMatch(/^application\/json/);
  expect(json).toEqual({
    peerId: node.peerId,
    addresses: [],
    chainId: node.chain.chainId,
    userAgent: expect.stringMatching(/^pollen\//),
    uptimeMs: expect.any(Number),
    peers: { connected: 0, connecting: 0, max: 10 },
    pools: { transactions: { size: 0, digest: createHash("sha256").digest("hex") } },
    disconnects: {},
    dropped: {},
  });
});

test("transactions: submitted, listed, shown, counted in the account and in the digest", async () => {
  const fresh = await startWithApi();
  const bytes = [await transferHex(0, 1), await transferHex(0, 3, 11n), await transferHex(2, 1)];
  const hashes: string[] = [];
  for (const each of bytes) {
    const answer = await post(fresh.api, "/v1/transactions", { bytes: each });
    expect(answer.status).toBe(201);
    const { hash } = answer.json as { hash: string };
    expect(answer).toMatchObject({ headers: { location: `/v1/transactions/${hash}` } });
    hashes.push(hash);
  }
  const listed = (await ask(fresh.api, { path: "/v1/transactions" })).json;
  expect(listed).toMatchObject({ transactions: hashes.map((hash) => ({ hash })), next: null });
  const shown = await ask(fresh.api, { path: `/v1/transactions/${hashes[1]?.toUpperCase()}` });
  expect(shown.json).toEqual({
    hash: hashes[1],
    fee: "11",
    sender: accountKey(0),
    nonce: 3,
    addedMs: expect.any(Number),
    index: 1,
    bytes: bytes[1],
  });
  expect((await ask(fresh.api, { path: `/v1/accounts/${accountKey(0)}` })).json).toEqual({
    key: accountKey(0),
    balance: "1000000000000",
    nonce: 0,
    nextNonce: 4,
  });
  const digest = createHash("sha256");
  for (const hash of hashes.toSorted()) digest.update(fromHex(hash));
  expect((await ask(fresh.api, { path: "/v1/status" })).json).toMatchObject({
    pools: { transactions: { size: 3, digest: digest.digest("hex") } },
  });
});

test("transactions: pages follow the log and end", async () => {
  const fresh = await startWithApi();
  for (let nonce = 1; nonce <= 5; nonce++) {
    await post(fresh.api, "/v1/transactions", { bytes: await transferHex(0, nonce) });
  }
  const page = async (query: string) =>
    (await ask(fresh.api, { path: `/v1/transactions?${query}` })).json as {
      transactions: readonly { nonce: number }[];
      next: number | null;
    };
  const nonces: number[][] = [];
  for (let next: number | null = -1; next !== null; ) {
    const answer = await page(next < 0 ? "limit=2" : `limit=2&after=${next}`);
    nonces.push(answer.transactions.map(({ nonce }) => nonce));
    next = answer.next;
  }
  expect(nonces).toEqual([[1, 2], [3, 4], [5]]);
  expect(await page("after=4")).toEqual({ transactions: [], next: null });
  expect(await page("limit=5")).toMatchObject({ next: null });
  expect(await page("after=9007199254740991")).toEqual({ transactions: [], next: null });
});

test.each([
  "limit=0",
  "limit=1001",
  "limit=-1",
  "limit=1e2",
  "limit=",
  "after=1.5",
  "limit=1&limit=2",
  "afer=1",
])("transactions: the query %s is refused", async (query) => {
  const answer = await ask(api, { path: `/v1/transactions?${query}` });
  expect(answer).toMatchObject(problem(400, expect.stringContaining("query")));
});

test("transactions: a refused one says why", async () => {
  const bytes = await transferHex(0, 1);
  const broken = `${bytes.slice(0, -2)}${bytes.endsWith("00") ? "01" : "00"}`;
  const cases: readonly [unknown, number, RegExp][] = [
    ["", 400, /not JSON/],
    ["{", 400, /not JSON/],
    ["[]", 400, /expected object, got an array/],
    [{}, 400, /bytes: expected string, got nothing/],
    [{ bytes: 5 }, 400, /bytes: expected string, got 5/],
    [{ bytes: "abc" }, 400, /bytes: expected an even number of hexadecimal digits/],
    [{ bytes: "zz" }, 400, /hexadecimal/],
    [{ bytes, byte: "" }, 400, /unknown key "byte"; did you mean "bytes"\?/],
    [`{"bytes":"00","__proto__":{}}`, 400, /unknown key "__proto__"/],
    [{ bytes: "" }, 400, /not a transfer/],
    [{ bytes: broken }, 400, /signature/],
    [{ bytes: await transferHex(0, 0) }, 409, /nonce 0 is used/],
  ];
  for (const [body, status, detail] of cases) {
    const answer = await post(api, "/v1/transactions", body);
    expect([body, answer]).toMatchObject([body, problem(status, expect.stringMatching(detail))]);
  }
  const headers = { "content-type": "application/json" };
  const invalid = {
    method: "POST",
    path: "/v1/transactions",
    headers,
    body: Uint8Array.of(0x22, 0xff, 0x22),
  };
  expect(await ask(api, invalid)).toMatchObject(problem(400, "the body is not UTF-8"));
});

test("transactions: the same twice is a conflict, hexadecimal digits of either case mean the same", async () => {
  const bytes = await transferHex(7, 1);
  expect((await post(api, "/v1/transactions", { bytes: bytes.toUpperCase() })).status).toBe(201);
  expect(await post(api, "/v1/transactions", { bytes })).toMatchObject(problem(409));
});

test.each([
  [`/v1/transactions/${"0".repeat(64)}`, 404],
  [`/v1/transactions/${"0".repeat(63)}`, 400],
  [`/v1/transactions/${"g".repeat(64)}`, 400],
  [`/v1/transactions/${"0".repeat(8_000)}`, 400],
  ["/v1/transactions/%", 400],
  ["/v1/transactions/", 400],
  [`/v1/accounts/${"0".repeat(64)}`, 404],
  ["/v1/accounts/alice", 400],
  ["/v1", 404],
  ["/v2/status", 404],
  ["/V1/STATUS", 404],
  ["//v1/status", 404],
])("GET %s is %i", async (path, status) => {
  expect(await ask(api, { path })).toMatchObject(problem(status));
});

test.each([
  ["PUT", "/v1/status", "GET, HEAD"],
  ["POST", "/v1/status", "GET, HEAD"],
  ["OPTIONS", "/v1/transactions", "GET, HEAD, POST"],
  ["PROPFIND", "/v1/peers?x=1", "GET, HEAD, POST"],
  ["GET", "/v1/peers/12D3KooW", "DELETE"],
])("%s %s is 405 and says what is allowed", async (method, path, allow) => {
  const answer = await ask(api, { method, path });
  expect(answer).toMatchObject(problem(405));
  expect(answer).toMatchObject({ headers: { allow } });
});

test("HEAD is GET without the body", async () => {
  const { status, text, headers } = await ask(api, { method: "HEAD", path: "/v1/status" });
  expect({ status, text }).toEqual({ status: 200, text: "" });
  expect(Number(headers["content-length"])).toBeGreaterThan(100);
});

test.each([undefined, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])(
  "a POST with content type %s is 415",
  async (type) => {
    const headers: Record<string, string> = type === undefined ? {} : { "content-type": type };
    for (const body of ["", "{}"]) {
      const answer = await ask(api, { method: "POST", path: "/v1/transactions", headers, body });
      expect(answer).toMatchObject(problem(415));
    }
  },
);

test("the parameters and the case of the content type do not matter", async () => {
  const headers = { "content-type": "Application/JSON; charset=utf-8" };
  const answer = await ask(api, { method: "POST", path: "/v1/transactions", headers, body: "{}" });
  expect(answer).toMatchObject(problem(400));
});

test("a body of more than 64 KiB is 413 in any framing, and the next request is served", async () => {
  const body = "x".repeat(65_537);
  for (const framing of [{ "content-length": String(body.length) }, { "transfer-encoding": "chunked" }]) {
    const headers = { "content-type": "application/json", ...framing };
    expect(await ask(api, { method: "POST", path: "/v1/transactions", headers, body })).toMatchObject(
      problem(413),
    );
  }
  const most = JSON.stringify({ bytes: "0".repeat(65_536 - 12) });
  expect(most.length).toBe(65_536);
  expect(await post(api, "/v1/transactions", most)).toMatchObject(
    problem(400, expect.stringContaining("bytes")),
  );
});

test("the Host of a request is an IP address, localhost or the name that is listened on", async () => {
  const statusFor = async (host: string) =>
    (await ask(api, { path: "/v1/status", headers: { host } })).status;
  for (const host of ["127.0.0.1", `127.0.0.1:${api.port}`, "[::1]:7380", "10.1.2.3", "LocalHost:80"]) {
    expect([host, await statusFor(host)]).toEqual([host, 200]);
  }
  for (const host of [
    "evil.example",
    "evil.example:7380",
    "localhost.evil.example",
    "127.0.0.1.nip.example",
    "a b",
  ]) {
    expect([host, await statusFor(host)]).toEqual([host, 421]);
  }
  const named = await startApi({
    node,
    listen: { host: "localhost", port: 0 },
    log: pino({ level: "silent" }),
  });
  cleanups.push(() => named.close());
  expect(named.url).toBe(`http://localhost:${named.port}`);
  const rawHost = (host: string) =>
    exchange(api.port, `GET /v1/status HTTP/1.1\r\n${host}connection: close\r\n\r\n`);
  expect(await rawHost("host:\r\n")).toMatch(/^HTTP\/1.1 421 /);
  expect(await rawHost("")).toMatch(/^HTTP\/1.1 400 /);
  expect(await exchange(api.port, "GET /v1/status HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1.1 421 /);
});

test("pages of other sites have no access, those of the API itself have", async () => {
  const statusFor = async (origin: string) =>
    (await ask(api, { path: "/v1/status", headers: { host: `127.0.0.1:${api.port}`, origin } })).status;
  expect(await statusFor(`http://127.0.0.1:${api.port}`)).toBe(200);
  for (const origin of [
    "http://evil.example",
    "null",
    `https://127.0.0.1:${api.port}`,
    "http://127.0.0.1:1",
    "",
  ]) {
    expect([origin, await statusFor(origin)]).toEqual([origin, 403]);
  }
});

test("peers: a dialed peer is shown with its channels, its permits and its bytes, and can be disconnected", async () => {
  const listener = await startWithApi({ listen: { host: "127.0.0.1", port: 0 } });
  const address = listener.node.address ?? "";
  const dialer = await startWithApi();
  const dialed = await post(dialer.api, "/v1/peers", { address });
  expect(dialed).toMatchObject({ status: 202, json: { peerId: listener.node.peerId } });
  const half = (await ask(dialer.api, { path: "/v1/peers" })).json;
  expect(half).toMatchObject({ peers: [{ id: listener.node.peerId, direction: "outgoing" }] });
  const isReady = ({ node: each }: typeof dialer): boolean =>
    [...each.state().peers.values()].some(
      ({ live }) => live?.transaction?.ours.tag === "permitGiven" && live.transaction.theirs.tag === "open",
    );
  await until(() => isReady(dialer) && isReady(listener));
  const channel = { state: "ready", blocked: false };
  for (const [side, direction, other] of [
    [dialer, "outgoing", listener],
    [listener, "incoming", dialer],
  ] as const) {
    const { peers } = (await ask(side.api, { path: "/v1/peers" })).json as {
      peers: readonly { since: string }[];
    };
    expect(peers).toEqual([
      {
        id: other.node.peerId,
        direction,
        state: "ready",
        since: expect.any(String),
        userAgent: expect.stringMatching(/^pollen\//),
        bytesIn: expect.any(Number),
        bytesOut: expect.any(Number),
        channels: {
          control: { ...channel, awaitingPong: false },
          transaction: { ...channel, permits: { ours: "given", theirs: "open" } },
          rpc: { ...channel, requests: { ours: 0, theirs: 0 } },
        },
      },
    ]);
    const since = peers[0]?.since ?? "";
    expect(new Date(since).toISOString()).toBe(since);
    expect(peers[0]).not.toMatchObject({ bytesIn: 0 });
  }
  expect((await ask(dialer.api, { path: "/v1/status" })).json).toMatchObject({ peers: { connected: 1 } });
  const end = { method: "DELETE", path: `/v1/peers/${listener.node.peerId}` };
  expect(await ask(dialer.api, end)).toMatchObject({ status: 204, text: "" });
  await until(() => dialer.node.state().peers.size === 0 && listener.node.state().peers.size === 0);
  expect(await ask(dialer.api, end)).toMatchObject(problem(404));
  expect((await ask(dialer.api, { path: "/v1/status" })).json).toMatchObject({
    disconnects: { "us operator": 1 },
  });
});

test("peers: what cannot be dialed or disconnected is refused with the reason", async () => {
  const own = `/ip4/127.0.0.1/tcp/7300/http/p2p/${node.peerId}`;
  const cases: readonly [unknown, RegExp][] = [
    [{ adress: own }, /did you mean "address"\?/],
    [{ address: "127.0.0.1:7300" }, /address is not a multiaddr; expected/],
    [{ address: own.replace("7300", "0") }, /address has port 0/],
    [{ address: own }, /this node itself/],
    [{ address: "x".repeat(10_000) }, /longer than 256/],
  ];
  for (const [body, detail] of cases) {
    expect(await post(api, "/v1/peers", body)).toMatchObject(problem(400, expect.stringMatching(detail)));
  }
  expect(await ask(api, { method: "DELETE", path: "/v1/peers/bob" })).toMatchObject(problem(400));
  // Many clients send their content type with every request.
  const headers = { "content-type": "application/json" };
  const unknown = {
    method: "DELETE",
    path: "/v1/peers/12D3KooWQy6cLvrYWKEcxh3rbDN2GrH6i3wfqK4cGEqQkMYJjcvF",
    headers,
  };
  expect(await ask(api, unknown)).toMatchObject(problem(404));
});

test("a node that has stopped still answers questions, and refuses commands with 503", async () => {
  const stopped = await startWithApi({ key: ephemeralKey() });
  await stopped.node.stop();
  const answer = await post(stopped.api, "/v1/transactions", { bytes: await transferHex(0, 1) });
  expect(answer).toMatchObject(problem(503));
  expect(answer.headers["retry-after"]).toBe("1");
  expect((await ask(stopped.api, { path: "/v1/status" })).status).toBe(200);
});

test("connections beyond the limit end the oldest that asks nothing", async () => {
  const small = await startWithApi({}, { socketsMax: 2 });
  const oldest = exchange(small.api.port, "GET /v1/st");
  const younger = exchange(small.api.port, "GET /v1/st");
  expect((await ask(small.api, { path: "/v1/status" })).status).toBe(200);
  expect(await oldest).toBe("");
  await small.api.close();
  await younger;
});

test("close: the port is free again, a second close changes nothing", async () => {
  const closed = await startWithApi();
  await closed.api.close();
  await closed.api.close();
  await expect(ask(closed.api, { path: "/v1/status" })).rejects.toThrow("ECONNREFUSED");
});

test("an address that cannot be listened on is an error of the system with its code", async () => {
  const taken = startApi({
    node,
    listen: { host: "127.0.0.1", port: api.port },
    log: pino({ level: "silent" }),
  });
  await expect(taken).rejects.toMatchObject({ code: "EADDRINUSE" });
});
