import { type KeyObject, randomBytes } from "node:crypto";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { concatBytes, toHex } from "../core/bytes.ts";
import { decode, encode } from "../core/codec/codec.ts";
import type { Infer } from "../core/codec/schema.ts";
import { peerPublicKey } from "../core/identity.ts";
import type { PeerId } from "../core/ids.ts";
import { ENVELOPE_BYTES_MAX } from "../core/limits.ts";
import { type DialAddress, parseMultiaddr } from "../core/multiaddr.ts";
import { REJECTIONS } from "../core/reasons.ts";
import { offerHash, replySchema, signalDigest, unsignedOfferSchema } from "../core/signals.ts";
import { poolDigest } from "../reducers/status.ts";
import { testAccountKey, testGenesis } from "./chain/genesis.ts";
import { signTransfer } from "./chain/transfer.ts";
import { openEnvelope, sealEnvelope } from "./crypto.ts";
import { rawPublicKey, sign, toX25519Secret } from "./ed25519.ts";
import { ephemeralKey } from "./key-file.ts";
import { type RunningNode, startNode } from "./node.ts";
import { admissionPerIp, DEFAULT_SETTINGS, type NodeSettings } from "./node-settings.ts";

/** Whole nodes over real WebRTC and HTTP on loopback. */

const BOB = toHex(rawPublicKey(testAccountKey(1)));
const running: RunningNode[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.stop()));
});

async function start(
  peers: readonly DialAddress[] = [],
  key = ephemeralKey(),
  settings: Partial<NodeSettings> = {},
): Promise<RunningNode> {
  const node = await startNode({
    ...DEFAULT_SETTINGS,
    key,
    listen: { host: "127.0.0.1", port: 0 },
    peers,
    peersMax: 10,
    admission: admissionPerIp(10_000),
    ...settings,
    log: pino({ level: "silent" }),
  });
  running.push(node);
  return node;
}

function addressOf(node: RunningNode): DialAddress {
  const parsed = parseMultiaddr(node.address ?? "");
  if (parsed.tag !== "address") throw new Error(parsed.detail);
  return parsed.address;
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const isLive = (node: RunningNode, peerId: PeerId): boolean => node.state().peers.get(peerId)?.live != null;
const areConnected = (a: RunningNode, b: RunningNode): boolean => isLive(a, b.peerId) && isLive(b, a.peerId);

async function submit(node: RunningNode, nonce: number, fee = 1n): Promise<string> {
  const payment = { to: BOB, amount: 1n, fee, nonce };
  const bytes = await signTransfer(testAccountKey(0), node.chain.chainId, payment);
  return (await node.command({ type: "command/submit", pool: "transaction", bytes })).tag;
}

type UnsignedOffer = Infer<typeof unsignedOfferSchema>;

/** A signed offer that is right in everything but what is changed. */
async function offerTo(
  node: RunningNode,
  key: KeyObject,
  changes: Partial<UnsignedOffer> = {},
): Promise<Uint8Array> {
  const unsigned = encode(unsignedOfferSchema, {
    version: 1,
    chainId: node.chain.chainId,
    from: toHex(rawPublicKey(key)),
    to: peerPublicKey(node.peerId),
    nonce: toHex(randomBytes(16)),
    issuedAt: BigInt(Date.now()),
    sdp: "v=0",
    listen: null,
    ...changes,
  });
  const digest = signalDigest("pollen/offer/1", concatBytes(unsigned, new Uint8Array(64)));
  return concatBytes(unsigned, await sign(key, digest));
}

/** Posts an offer and opens the reply. @returns the HTTP status, or what the Reply says */
async function post(node: RunningNode, key: KeyObject, offer: Uint8Array): Promise<string> {
  const sealed = sealEnvelope(
    "offer",
    Uint8Array.from(Buffer.from(peerPublicKey(node.peerId), "hex")),
    offer,
  );
  const { port } = addressOf(node);
  const response = await fetch(`http://127.0.0.1:${port}/pollen/1/signal`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream" },
    body: Buffer.from(sealed),
  });
  const body = new Uint8Array(await response.arrayBuffer());
  if (response.status !== 200) return String(response.status);
  const plaintext = openEnvelope("answer", toX25519Secret(key), rawPublicKey(key), body);
  if (plaintext === null) throw new Error("the reply is not for the dialer");
  const decoded = decode(replySchema, plaintext, ENVELOPE_BYTES_MAX);
  if (decoded.tag === "failed") throw new Error(decoded.detail);
  expect(decoded.value.offerHash).toBe(offerHash(offer));
  return decoded.value.tag === "answer" ? "answer" : (REJECTIONS[decoded.value.reason] ?? "?");
}

test("node: transactions submitted on both sides end in both pools, equal by digest", async () => {
  const a = await start();
  const b = await start([addressOf(a)]);
  for (const nonce of [1, 2, 3]) expect(await submit(a, nonce)).toBe("submitted");
  for (const nonce of [4, 5, 6]) expect(await submit(b, nonce)).toBe("submitted");
  await until(() => [a, b].every((node) => node.state().pools.transaction.entries.size === 6));
  expect(poolDigest(a.state().pools.transaction)).toBe(poolDigest(b.state().pools.transaction));
  expect(a.state().offenders.size + b.state().offenders.size).toBe(0);
});

test("node: of two transactions with one nonce the better paid one ends in both pools", async () => {
  const a = await start();
  const b = await start([addressOf(a)]);
  await until(() => areConnected(a, b));
  expect(await submit(a, 1, 10n)).toBe("submitted");
  expect(await submit(b, 1, 1_000n)).toBe("submitted");
  const feesOf = (node: RunningNode): bigint[] =>
    [...node.state().pools.transaction.entries.values()].map(({ info }) => info.fee);
  await until(() => [a, b].every((node) => feesOf(node).includes(1_000n)));
  expect([feesOf(a), feesOf(b)]).toEqual([[1_000n], [1_000n]]);
  // The lesser one is not forgotten where it was submitted: should a block undo the other, it may come back.
  expect(await submit(a, 1, 10n)).toBe("conflict");
  expect(a.state().local.size).toBe(1);
});

test("P05: a mutual dial over real WebRTC leaves exactly one connection, the same on both sides", async () => {
  const [a, b] = [await start(), await start()];
  await Promise.all([
    a.command({ type: "command/dial", address: addressOf(b) }),
    b.command({ type: "command/dial", address: addressOf(a) }),
  ]);
  await until(() => areConnected(a, b) && [a, b].every((node) => node.state().attempts.size === 1));
  const directions = [a, b].map((node) => [...node.state().attempts.values()][0]?.direction);
  expect(directions.sort()).toEqual(["incoming", "outgoing"]);
  expect(await submit(a, 1)).toBe("submitted");
  await until(() => b.state().pools.transaction.entries.size === 1);
});

test("P04: offers that claim the id of a live peer leave its connection untouched", async () => {
  const victim = ephemeralKey();
  const a = await start();
  const b = await start([addressOf(a)], victim);
  await until(() => areConnected(a, b));
  const before = a.state().peers.get(b.peerId)?.live?.attemptId;
  const forger = ephemeralKey();
  const replies = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const forged = await offerTo(a, forger, { from: toHex(rawPublicKey(victim)) });
      return post(a, victim, forged);
    }),
  );
  expect(new Set(replies)).toEqual(new Set(["badSignature"]));
  expect(a.state().peers.get(b.peerId)?.live?.attemptId).toBe(before);
  expect(isLive(b, a.peerId)).toBe(true);
});

test("node: an offer that is wrong in one thing is refused with its reason", async () => {
  const a = await start();
  const key = ephemeralKey();
  const minuteAgo = BigInt(Date.now() - 61_000);
  const self = peerPublicKey(a.peerId);
  expect(await post(a, key, await offerTo(a, key, { chainId: "00".repeat(32) }))).toBe("chainMismatch");
  expect(await post(a, key, await offerTo(a, key, { to: BOB }))).toBe("notForMe");
  expect(await post(a, key, await offerTo(a, key, { issuedAt: minuteAgo }))).toBe("stale");
  expect(await post(a, key, await offerTo(a, key))).toBe("badSdp");
  expect(await post(a, key, await offerTo(a, ephemeralKey(), { from: toHex(rawPublicKey(key)) }))).toBe(
    "badSignature",
  );
  const offer = await offerTo(a, key);
  expect(await post(a, key, offer)).toBe("badSdp");
  expect(await post(a, key, offer)).toBe("replayed");
  expect(await post(a, key, await offerTo(a, key, { version: 2 }))).toBe("400");
  expect(await post(a, key, await offerTo(a, key, { from: "00".repeat(32) }))).toBe("400");
  expect(await post(a, key, offer.subarray(1))).toBe("400");
  expect(await post(a, key, concatBytes(offer, Uint8Array.of(0)))).toBe("400");
  expect(self).not.toBe(toHex(rawPublicKey(key)));
  await until(() => a.state().attempts.size === 0);
  expect(a.state().peers.size).toBe(0);
});

test("node: garbage on the signaling port is answered and leaves nothing behind", async () => {
  const a = await start();
  const { port } = addressOf(a);
  for (const length of [0, 1, 48, 1_000, 16_384]) {
    const response = await fetch(`http://127.0.0.1:${port}/pollen/1/signal`, {
      method: "POST",
      headers: { "content-type": "application/octet-stream" },
      body: randomBytes(length),
    });
    expect(response.status).toBe(400);
  }
  expect(a.state().attempts.size).toBe(0);
});

test("node: dialing itself, or a key that is none, is refused with the reason", async () => {
  const a = await start();
  const self = await a.command({ type: "command/dial", address: addressOf(a) });
  expect(self).toEqual({ tag: "invalid", detail: expect.stringContaining("itself") });
});

const heightOf = (node: RunningNode): number => node.state().chain.tip.height;

test("P34: slot and genesis time make a chain of its own: nodes that differ refuse each other", async () => {
  const settings = { slotMs: 1_000, genesisMs: Date.UTC(2026, 1, 1) };
  const a = await start([], ephemeralKey(), settings);
  for (const other of [{ slotMs: 1_001 }, { genesisMs: settings.genesisMs + 1 }]) {
    const b = await start([addressOf(a)], ephemeralKey(), { ...settings, ...other });
    expect(b.chain.chainId).not.toBe(a.chain.chainId);
    // A refusal that lasts: the address rests for ten minutes.
    await until(() => [...b.state().targets.values()].some(({ nextMs }) => nextMs > Date.now() + 500_000));
    expect(b.state().peers.size).toBe(0);
  }
  const b = await start([addressOf(a)], ephemeralKey(), settings);
  await until(() => areConnected(a, b));
});

test("P34: the capacity is that of the transaction pool, in which the best paid ones stay", async () => {
  const a = await start([], ephemeralKey(), { capacity: 2 });
  expect([await submit(a, 1, 100n), await submit(a, 2, 300n), await submit(a, 3, 200n)]).toEqual([
    "submitted",
    "submitted",
    "submitted",
  ]);
  expect(await submit(a, 4, 50n)).toBe("keptAside");
  const fees = [...a.state().pools.transaction.entries.values()].map(({ info }) => info.fee);
  expect(fees.sort()).toEqual([200n, 300n]);
});

test("P34: a producer makes the blocks, a worker the proofs, and a node that came later ends with both", async () => {
  const settings = { slotMs: 200, genesisMs: Date.now() };
  const producer = await start([], ephemeralKey(), { ...settings, produce: 5 });
  // A key that chooses an account of which nothing else happens here.
  const worker = await start([addressOf(producer)], testAccountKey(20), { ...settings, workFee: 3n });
  expect(producer.account?.number).toBe(5);
  expect(await submit(worker, 1)).toBe("submitted");
  // Once the proof is in a block nothing is pending any more.
  await until(() => producer.chain.account(BOB)?.balance !== testGenesis().accounts.get(BOB)?.balance);
  await until(() => worker.state().work.counts.made === 1 && producer.state().chain.jobs.size === 0);
  const late = await start([addressOf(worker)], ephemeralKey(), settings);
  expect(late.account).toBeNull();
  const nodes = [producer, worker, late];
  await until(
    () => heightOf(late) > 3 && new Set(nodes.map((node) => node.state().chain.tip.hash)).size === 1,
  );
  const paid = worker.account?.key ?? "";
  const balances = nodes.map((node) => node.chain.account(paid)?.balance);
  expect(balances).toEqual(nodes.map(() => (testGenesis().accounts.get(paid)?.balance ?? 0n) + 3n));
  expect(nodes.map((node) => node.state().offenders.size)).toEqual([0, 0, 0]);
});

test("node: a producer begins by itself, without peers and without commands", async () => {
  const lone = await startNode({
    ...DEFAULT_SETTINGS,
    ...{ slotMs: 100, genesisMs: Date.now(), produce: 1 },
    key: ephemeralKey(),
    log: pino({ level: "silent" }),
  });
  running.push(lone);
  await until(() => heightOf(lone) > 1);
});

test("node: the account is the one that is asked for, or one that depends on the key alone", async () => {
  const key = ephemeralKey();
  const numbers: (number | undefined)[] = [];
  for (const roles of [{ produce: "drawn" }, { workFee: 1n }, { produce: "drawn", workFee: 0n }] as const) {
    const node = await start([], key, roles);
    numbers.push(node.account?.number);
    expect(node.account?.key).toBe(toHex(rawPublicKey(testAccountKey(numbers[0] ?? -1))));
  }
  expect(new Set(numbers).size).toBe(1);
  expect((await start([], key, { produce: 63, workFee: 1n })).account?.number).toBe(63);
  expect((await start([], key)).account).toBeNull();
});

test("P33: stop says Goodbye, ends, and the other side knows why", async () => {
  const a = await start();
  const b = await start([addressOf(a)]);
  await until(() => areConnected(a, b));
  await b.stop();
  await until(() => !isLive(a, b.peerId));
  expect(a.state().endings).toEqual({ "them shutdown": 1 });
  expect(await b.ended).toBeUndefined();
  expect(await submit(b, 1)).toBe("unavailable");
});

test("P33: stop ends while a dial is under way", async () => {
  const a = await start();
  const dead = { ...addressOf(a), port: 1 };
  const b = await start([dead, addressOf(a)]);
  await Promise.all([a.stop(), b.stop()]);
  expect(b.state().attempts.size).toBe(0);
});
