import type { TransactionInfo } from "../core/chain.ts";
import type { Hash } from "../core/ids.ts";
import { RPC_TIMEOUT_MS, SETTLE_TIMEOUT_MS } from "../core/limits.ts";
import { holderOf } from "../core/pool-log.ts";
import { transactionPriority } from "../core/priority.ts";
import type { State } from "../core/state.ts";
import { slotOf } from "../reducers/fetch.ts";
import { brokenInvariants } from "../reducers/invariants.ts";
import { checkFetchProgress, checkNoAccusation, checkPlain, type Problems } from "./invariants.ts";
import type { SimNode } from "./sim-node.ts";
import type { ClusterObserver } from "./simulator.ts";
import { announcedBy, freshLedger, observe, readWire, type WireEvent, type WireLedger } from "./wire.ts";

/** Watches every step of every node and every message; throws at the first that breaks a law. */
export interface Checker extends ClusterObserver {
  /** Bodies that arrived, by node and hash. */
  readonly bodies: ReadonlyMap<string, number>;
  /** Action types and disconnect reasons, by how often they occurred (P10). */
  readonly histogram: ReadonlyMap<string, number>;
}

/** What an end was told last, and what became of it: law 2 is judged by this. */
interface Announced {
  readonly infos: readonly TransactionInfo[];
  readonly atMs: number;
}

interface End {
  ledger: WireLedger;
  announced: Announced | null;
  /** By the id of our request, what it asked for. */
  readonly asked: Map<number, { readonly hashes: readonly Hash[]; readonly atMs: number }>;
  /** Hashes that this peer did not serve when it was asked. */
  readonly failed: Set<Hash>;
}

const PLAIN_EVERY = 499;

export function createChecker(judgedBy: (node: number) => ReadonlyMap<Hash, string>): Checker {
  const ends = new Map<string, End>();
  const bodies = new Map<string, number>();
  const histogram = new Map<string, number>();
  const nodes = new Map<string, SimNode>();
  let steps = 0;

  const count = (counts: Map<string, number>, name: string): void => {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  };

  function endOf(node: { readonly index: number; readonly life: number }, attemptId: number): End {
    const key = `${node.index}.${node.life}.${attemptId}`;
    const known = ends.get(key) ?? {
      ledger: freshLedger,
      announced: null,
      asked: new Map(),
      failed: new Set(),
    };
    ends.set(key, known);
    return known;
  }

  function book(node: SimNode, attemptId: number, event: WireEvent, nowMs: number): Problems {
    const end = endOf(node, attemptId);
    const { ledger, problems } = observe(end.ledger, event);
    end.ledger = ledger;
    const infos = announcedBy(event);
    if (infos !== null) end.announced = { infos, atMs: nowMs };
    noteRpc(end, event, nowMs, (hash) => count(bodies, `${node.index}.${node.life} ${hash}`));
    const { way, wire } = event;
    if (way !== "sent" || wire.channel !== "transaction" || wire.message.tag !== "getNext") return problems;
    return [...problems, ...unsettled(end, node.state, judgedBy(node.index), nowMs)];
  }

  return {
    bodies,
    histogram,
    before: (node, input) => {
      nodes.set(`${node.index}.${node.life}`, node);
      if (input.type !== "event/message") return;
      const wire = readWire(input.channel, input.bytes);
      if (typeof wire === "string") fail(node, [`received undecodable bytes: ${wire}`]);
      else fail(node, book(node, input.attemptId, { way: "received", wire }, node.state.timeMs));
    },
    sent: (from, attemptId, _to, channel, bytes) => {
      const node = nodes.get(`${from.index}.${from.life}`);
      if (node === undefined) return;
      const wire = readWire(channel, bytes);
      if (typeof wire === "string") fail(node, [`sent undecodable bytes: ${wire}`]);
      else fail(node, book(node, attemptId, { way: "sent", wire }, node.state.timeMs));
    },
    after: (node, _input, { state, actions }) => {
      for (const action of actions) {
        count(histogram, action.type);
        if (action.type === "connection/ended") count(histogram, `${action.by} ${action.reason}`);
      }
      fail(node, checkNoAccusation(actions));
      fail(node, [...brokenInvariants(state), ...checkFetchProgress(state)]);
      if (++steps % PLAIN_EVERY === 0) fail(node, checkPlain(state));
    },
  };
}

function fail(node: SimNode, problems: Problems): void {
  if (problems.length > 0)
    throw new Error(`node ${node.index} at ${node.state.timeMs}: ${problems.join("; ")}`);
}

function noteRpc(end: End, { way, wire }: WireEvent, nowMs: number, body: (hash: Hash) => void): void {
  if (wire.channel !== "rpc") return;
  const { message } = wire;
  if (way === "sent" && message.tag === "request" && message.body.tag === "transactions") {
    end.asked.set(message.id, { hashes: message.body.hashes, atMs: nowMs });
  }
  if (way !== "received" || message.tag !== "response") return;
  const hashes = end.asked.get(message.id)?.hashes ?? [];
  end.asked.delete(message.id);
  for (const [index, hash] of hashes.entries()) {
    const found = message.body.tag === "items" ? message.body.found[index] : null;
    if (found?.tag === "some") body(hash);
    else if (found !== undefined) end.failed.add(hash);
  }
}

/**
 * Law 2: the next permit goes out when everything that the last message announced is in the pool or was dropped for
 * one of these reasons: something greater has its slot, the chain refused it, its announcer did not serve it, or
 * it took too long.
 */
export function unsettled(
  { announced, asked, failed }: Pick<End, "announced" | "asked" | "failed">,
  { transactions }: Pick<State, "transactions">,
  judged: ReadonlyMap<Hash, string>,
  nowMs: number,
): Problems {
  if (announced === null || nowMs >= announced.atMs + SETTLE_TIMEOUT_MS) return [];
  const timedOut = new Set<Hash>(failed);
  for (const { hashes, atMs } of asked.values()) {
    if (nowMs >= atMs + RPC_TIMEOUT_MS) for (const hash of hashes) timedOut.add(hash);
  }
  return announced.infos
    .filter((info) => {
      const { hash, sender, nonce } = info;
      const candidate = { hash, slot: slotOf(sender, nonce), priority: transactionPriority(info) };
      return holderOf(transactions, candidate) === undefined && !judged.has(hash) && !timedOut.has(hash);
    })
    .map(({ hash }) => `GetNext while ${hash} is neither in the pool nor settled`);
}
