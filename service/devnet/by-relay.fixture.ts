import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sendPayments } from "../cli/tx.ts";
import type { NodeProcess } from "./child.ts";
import { type DevnetNode, pause, startNetwork } from "./network.ts";
import { hashesIn } from "./proof.ts";

export interface RelayTrial {
  /** From the start of the last process until all have their peers, ms. */
  readonly connectedMs: number;
  /** Connections of each node but the relay, while the relay was there and after it was killed. */
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Of the payments that were submitted when the relay was gone: those that every pool has. */
  readonly submitted: number;
  readonly everywhere: number;
}

const SENDERS = 3;
const PAYMENTS_EACH = 5;
const GONE_TIMEOUT_MS = 40_000;
const SPREAD_TIMEOUT_MS = 30_000;
const POLL_MS = 200;

/**
 * One relay that listens, and nodes that know only it and do not listen, each a process: they find each other. Then
 * the relay is killed, and payments are made. Nobody makes blocks, so that the pools tell what has reached whom.
 *
 * @throws DevnetError if they do not find each other
 */
export async function playWithoutRelay(nodes: number, degree: number): Promise<RelayTrial> {
  const processes: NodeProcess[] = [];
  const data = mkdtempSync(join(tmpdir(), "pollen-relay-"));
  const { signal } = new AbortController();
  let startMs = performance.now();
  try {
    const network = await startNetwork({
      ...{ nodes, degree, seed: 1, byRelay: true, producers: 0, workers: 0, late: 0, restart: false },
      ...{ slotMs: 10_000, poolSize: null, genesisMs: Date.now(), record: null, relay: null, data, signal },
      note: () => undefined,
      onProcess: (child) => {
        startMs = performance.now();
        processes.push(child);
      },
    });
    const connectedMs = performance.now() - startMs;
    const [relay, ...others] = network.nodes;
    const before = await connectionsOf(others);
    relay?.process.kill();
    await relay?.process.exited;
    // Until nobody counts the dead one any more.
    const goneMs = performance.now() + GONE_TIMEOUT_MS;
    while (performance.now() < goneMs && (await knowsAnybody(others, relay?.peerId)))
      await pause(POLL_MS, signal);
    const hashes: string[] = [];
    for (const [from, { client }] of others.slice(-SENDERS).entries()) {
      const payments = { fee: 5n, amount: 1n, to: "5e".repeat(32), count: PAYMENTS_EACH, from };
      await sendPayments(client, payments, ({ hash }) => hashes.push(hash));
    }
    const untilMs = performance.now() + SPREAD_TIMEOUT_MS;
    let everywhere = 0;
    while (everywhere < hashes.length && performance.now() < untilMs) {
      await pause(POLL_MS, signal);
      everywhere = await countEverywhere(others, hashes);
    }
    return { connectedMs, before, after: await connectionsOf(others), submitted: hashes.length, everywhere };
  } finally {
    await Promise.all(processes.map((child) => child.stop()));
    rmSync(data, { recursive: true, force: true });
  }
}

const connectionsOf = (nodes: readonly DevnetNode[]): Promise<readonly number[]> =>
  Promise.all(nodes.map(async ({ client }) => (await client.status()).peers.connected));

async function knowsAnybody(nodes: readonly DevnetNode[], peerId: string | undefined): Promise<boolean> {
  const known = await Promise.all(nodes.map(({ client }) => client.peers()));
  return known.some((peers) => peers.some(({ id }) => id === peerId));
}

async function countEverywhere(nodes: readonly DevnetNode[], hashes: readonly string[]): Promise<number> {
  const pools = await Promise.all(
    nodes.map(async ({ client }) => new Set(await hashesIn(client, "transactions"))),
  );
  return hashes.filter((hash) => pools.every((pool) => pool.has(hash))).length;
}
