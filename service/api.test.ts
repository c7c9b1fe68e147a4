import { createHash } from "node:crypto";
import { pino } from "pino";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../core/bytes.ts";
import type { JobId } from "../core/ids.ts";
import { POOL_NAMES } from "../core/pools.ts";
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
import { testGenesis } from "./chain/genesis.ts";
import { encodeWork } from "./chain/work.ts";
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

const EMPTY = createHash("sha256").digest("hex");

test("metrics: what the state says, in the text format of Prometheus", async () => {
  const { status, headers, text } = await ask(api, { path: "/metrics" });
  expect(status).toBe(200);
  expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
  const { chain, config } = node.state();
  for (const line of [
    `pollen_best_tip_height ${chain.tip.height}`,
    'pollen_peers{state="connected"} 0',
    `pollen_peers_max ${config.peersMax}`,
    `pollen_pool_items{pool="transaction"} ${node.state().pools.transaction.entries.size}`,
    'pollen_bans{kind="key"} 0',
    "# TYPE pollen_disconnects_total counter",
    "# TYPE nodejs_eventloop_lag_p99_seconds gauge",
  ])
    expect(text.split("\n")).toContain(line);
  // Asked twice, counters are what they were.
  const again = await ask(api, { path: "/metrics" });
  const own = (all: string): readonly string[] =>
    all.split("\n").filter((line) => line.startsWith("pollen_"));
  expect(own(again.text)).toEqual(own(text));
});

test("status: who the node is, its peers, its tip and its pools", async () => {
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
    bestTip: {
      hash: testGenesis().parameters.genesis.hash,
      height: 0,
      slot: 0,
      epoch: 0,
      ledgerRoot: testGenesis().parameters.genesis.ledgerRoot,
    },
    reorganisations: { count: 0, deepest: 0 },
    sync: null,
    pools: {
      transactions: { size: 0, capacity: 3_000, digest: EMPTY, keptAside: 0 },
      snarks: { size: 0, capacity: null, digest: EMPTY },
      commitments: { size: 0, capacity: null, digest: EMPTY },
    },
    jobs: { pending: 0 },
    producer: null,
    worker: null,
    bodies: { transactions: 0, snarks: 0 },
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

test("transactions: one for which the pool is full is kept aside, shown, and counted", async () => {
  const small = await startWithApi({ capacity: 1 });
  expect((await post(small.api, "/v1/transactions", { bytes: await transferHex(0, 1, 500n) })).status).toBe(
    201,
  );
  const bytes = await transferHex(1, 4, 5n);
  const answer = await post(small.api, "/v1/transactions", { bytes });
  expect(answer).toMatchObject({ status: 202, json: { detail: expect.stringContaining("full") } });
  const { hash } = answer.json as { hash: string };
  expect(answer.headers["location"]).toBe(`/v1/transactions/${hash}`);
  expect((await ask(small.api, { path: `/v1/transactions/${hash}` })).json).toMatchObject({
    hash,
    index: null,
    addedMs: null,
    bytes,
  });
  expect((await ask(small.api, { path: "/v1/status" })).json).toMatchObject({
    pools: { transactions: { size: 1, capacity: 1, keptAside: 1 } },
  });
  expect((await ask(small.api, { path: `/v1/accounts/${accountKey(1)}` })).json).toMatchObject({
    nextNonce: 5,
  });
  expect(await post(small.api, "/v1/transactions", { bytes })).toMatchObject(problem(409));
});

test("blocks: the genesis block is the tip of a node that has heard of no other", async () => {
  const { hash, ledgerRoot } = testGenesis().parameters.genesis;
  const header = { hash, height: 0, ledgerRoot, timestamp: String(Date.UTC(2026, 0, 1)) };
  const shown = { ...header, body: { transactions: [], snarks: [] } };
  for (const name of ["tip", hash, hash.toUpperCase()]) {
    expect((await ask(api, { path: `/v1/blocks/${name}` })).json).toMatchObject(shown);
  }
  expect((await ask(api, { path: "/v1/blocks?limit=5" })).json).toMatchObject({ blocks: [header] });
});

test("blocks, snarks and commitments: what a node makes is shown, and it can be told to stop and go on", async () => {
  const chain = { slotMs: 200, genesisMs: Date.now() };
  const maker = await startWithApi({ ...chain, produce: 3, workFee: 7n });
  const get = async (path: string) => (await ask(maker.api, { path })).json;
  const account = { number: 3, key: accountKey(3) };
  await post(maker.api, "/v1/worker", { enabled: false });
  const bytes = await transferHex(0, 1, 10n, maker.node.chain.chainId);
  const { hash } = (await post(maker.api, "/v1/transactions", { bytes })).json as { hash: string };

  // The block that has it makes one job, for which nobody works yet.
  await until(() => maker.node.state().chain.jobs.size === 1);
  expect((await post(maker.api, "/v1/producer", { enabled: false })).json).toEqual({ enabled: false });
  const { blocks } = (await get("/v1/blocks?limit=1000")) as { blocks: { hash: string; height: number }[] };
  const { bestTip } = (await get("/v1/status")) as { bestTip: { hash: string; height: number } };
  expect(blocks.map(({ height }) => height)).toEqual(blocks.map((_, depth) => bestTip.height - depth));
  expect(blocks[0]).toMatchObject({ hash: bestTip.hash, creator: account.key });
  const bodies = await Promise.all(blocks.map((block) => get(`/v1/blocks/${block.hash}`)));
  expect(bodies.filter((block) => JSON.stringify(block).includes(hash))).toMatchObject([
    { body: { transactions: [hash], snarks: [] } },
  ]);
  expect(await ask(maker.api, { path: `/v1/transactions/${hash}` })).toMatchObject(problem(404));
  expect(await get(`/v1/accounts/${accountKey(0)}`)).toMatchObject({ nonce: 1, nextNonce: 2 });

  expect((await post(maker.api, "/v1/worker", { enabled: true })).json).toEqual({ enabled: true });
  await until(() => maker.node.state().pools.snark.entries.size === 1);
  const { snarks } = (await get("/v1/snarks")) as { snarks: { hash: string; jobId: string }[] };
  const [snark] = snarks;
  expect(snark).toMatchObject({ fee: "7", prover: account.key, index: 0 });
  expect(await get("/v1/commitments")).toMatchObject({
    commitments: [{ jobId: snark?.jobId, fee: "7", snarker: account.key, index: 0 }],
    next: null,
  });
  expect(await get("/v1/status")).toMatchObject({
    jobs: { pending: 1 },
    pools: { snarks: { size: 1 }, commitments: { size: 1 } },
    producer: { enabled: false, account, blocks: expect.any(Number) },
    worker: { enabled: true, account, fee: "7", begun: 1, made: 1, abandoned: 0 },
  });
  const shown = (await get(`/v1/snarks/${snark?.hash}`)) as { bytes: string };
  expect(shown).toEqual({ ...snark, bytes: expect.stringMatching(/^([0-9a-f]{2})+$/) });
  expect(await post(maker.api, "/v1/snarks", { bytes: shown.bytes })).toMatchObject(problem(409));

  expect((await post(maker.api, "/v1/producer", { enabled: true })).json).toEqual({ enabled: true });
  await until(() => maker.node.state().chain.jobs.size === 0);
  expect(await get("/v1/status")).toMatchObject({ jobs: { pending: 0 }, pools: { snarks: { size: 0 } } });
});

test("snarks: what is none is refused with the reason, and what no block waits for", async () => {
  const work = encodeWork(
    { jobId: "00".repeat(32) as JobId, fee: 1n, prover: accountKey(1) },
    0n,
    new Uint8Array(9_216),
  );
  const cases: readonly [unknown, number, RegExp][] = [
    [{ bytes: "00" }, 400, /not a piece of work/],
    [{ bytes: await transferHex(0, 1) }, 400, /not a piece of work/],
    [{ bytes: toHex(work) }, 400, /less than \d+ zero bits/],
  ];
  for (const [body, status, detail] of cases) {
    expect(await post(api, "/v1/snarks", body)).toMatchObject(problem(status, expect.stringMatching(detail)));
  }
});

test("producer and worker: a node that was not started as one does not become one", async () => {
  for (const role of ["producer", "worker"]) {
    expect(await post(api, `/v1/${role}`, { enabled: true })).toMatchObject(
      problem(409, expect.stringContaining("the node was started without --")),
    );
    expect((await post(api, `/v1/${role}`, { enabled: false })).json).toEqual({ enabled: false });
    for (const body of [{}, { enabled: "yes" }, { enabled: true, x: 1 }, "true"]) {
      expect(await post(api, `/v1/${role}`, body)).toMatchObject(problem(400));
    }
  }
});

test.each([
  [`/v1/transactions/${"0".repeat(64)}`, 404],
  [`/v1/transactions/${"0".repeat(63)}`, 400],
  [`/v1/transactions/${"g".repeat(64)}`, 400],
  [`/v1/transactions/${"0".repeat(8_000)}`, 400],
  ["/v1/transactions/%", 400],
  ["/v1/transactions/", 400],
  [`/v1/snarks/${"0".repeat(64)}`, 404],
  ["/v1/snarks/x", 400],
  [`/v1/blocks/${"0".repeat(64)}`, 404],
  ["/v1/blocks/top", 400],
  ["/v1/blocks?limit=0", 400],
  ["/v1/blocks?after=1", 400],
  ["/v1/commitments?limit=1001", 400],
  ["/v1/addresses?limit=0", 400],
  ["/v1/addresses/x", 404],
  [`/v1/commitments/${"0".repeat(64)}`, 404],
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
  ["POST", "/v1/addresses", "GET, HEAD"],
  ["PUT", "/v1/bans", "GET, HEAD, POST"],
  ["GET", "/v1/bans/20.30.40.0%2F24", "DELETE"],
  ["DELETE", "/v1/snarks", "GET, HEAD, POST"],
  ["POST", "/v1/blocks/tip", "GET, HEAD"],
  ["POST", "/v1/commitments", "GET, HEAD"],
  ["GET", "/v1/producer", "POST"],
  ["GET", "/v1/worker", "POST"],
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
      ({ live }) =>
        live?.bestTip?.theirs === "open" &&
        POOL_NAMES.every(
          (pool) => live.pools[pool]?.ours.tag === "permitGiven" && live.pools[pool]?.theirs.tag === "open",
        ),
    );
  await until(() => isReady(dialer) && isReady(listener));
  const channel = { state: "ready", blocked: false };
  const permits = { ours: "given", theirs: "open" };
  const { hash, height, slot } = testGenesis().parameters.genesis;
  const genesisTip = { hash, height, slot };
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
        bestTip: genesisTip,
        record: { slow: false, asked: 0, withheld: 0 },
        channels: {
          control: { ...channel, awaitingPong: false },
          // Nobody else is there to be named.
          "signaling/discovery": { ...channel, permits: { ours: "idle", theirs: "none" } },
          "signaling/exchange": { ...channel, permits },
          "best-tip": { ...channel, permits },
          transaction: { ...channel, permits },
          snark: { ...channel, permits },
          "snark-job-commitment": { ...channel, permits },
          rpc: { ...channel, requests: { ours: 0, theirs: 0 } },
          "streaming-rpc": { ...channel, streams: { ours: null, theirs: null } },
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

test("bans: imposed, listed in pages, lifted", async () => {
  const fresh = await startWithApi();
  const { peerId } = node;
  const key = await post(fresh.api, "/v1/bans", { id: peerId });
  expect(key).toMatchObject({
    status: 201,
    headers: { location: `/v1/bans/${peerId}` },
    json: { id: peerId, kind: "key", until: expect.any(String), reason: "operator" },
  });
  const { until: end } = key.json as { until: string };
  expect(Math.abs(Date.parse(end) - Date.now() - 86_400_000)).toBeLessThan(60_000);
  const group = { id: "20.30.40.0/24", kind: "group", until: null, reason: "operator" };
  expect(await post(fresh.api, "/v1/bans", { id: group.id, forMs: null })).toMatchObject({
    status: 201,
    headers: { location: "/v1/bans/20.30.40.0%2F24" },
    json: group,
  });
  expect((await ask(fresh.api, { path: "/v1/bans" })).json).toEqual({ bans: [key.json, group], next: null });
  const page = (await ask(fresh.api, { path: "/v1/bans?limit=1" })).json;
  expect(page).toEqual({ bans: [key.json], next: peerId });
  const rest = (await ask(fresh.api, { path: `/v1/bans?limit=1&after=${peerId}` })).json;
  expect(rest).toEqual({ bans: [group], next: null });
  for (const id of [peerId, "20.30.40.0%2F24"]) {
    const lift = { method: "DELETE", path: `/v1/bans/${id}` };
    expect(await ask(fresh.api, lift)).toMatchObject({ status: 204, text: "" });
    expect(await ask(fresh.api, lift)).toMatchObject(problem(404, expect.stringMatching(/is not banned$/)));
  }
  expect((await ask(fresh.api, { path: "/v1/bans" })).json).toEqual({ bans: [], next: null });
});

test("bans: what is no ban is refused with the reason", async () => {
  const bodies: readonly (readonly [unknown, RegExp])[] = [
    [{}, /^id: /],
    [{ id: "bob" }, /^id: expected a peer id .* or an address group/],
    [{ id: "20.30.40.50" }, /that would be 20\.30\.40\.0\/24$/],
    [{ id: "20.30.0.0/16" }, /that would be 20\.30\.0\.0\/24$/],
    [{ id: node.peerId }, /the key of this node itself/],
    [{ id: "20.30.40.0/24", forMs: 0 }, /^forMs: /],
    [{ id: "20.30.40.0/24", forMs: 1.5 }, /^forMs: /],
    [{ id: "20.30.40.0/24", forMs: Number.MAX_SAFE_INTEGER }, /^forMs: /],
    [{ id: "20.30.40.0/24", for: "1h" }, /unknown key "for"/],
  ];
  for (const [body, detail] of bodies) {
    expect(await post(api, "/v1/bans", body)).toMatchObject(problem(400, expect.stringMatching(detail)));
  }
  expect(await ask(api, { method: "DELETE", path: "/v1/bans/bob" })).toMatchObject(problem(400));
  expect(await ask(api, { path: "/v1/bans?limit=0" })).toMatchObject(problem(400));
});
