import Table from "cli-table3";
import { createLogUpdate } from "log-update";
import type { NodeStatus } from "../admin-client.ts";
import type { DevnetResult } from "./devnet.ts";
import type { FeedCounts } from "./feed.ts";
import type { DevnetNode } from "./network.ts";
import type { Delays, Propagation } from "./propagation.ts";

interface View {
  readonly nodes: readonly DevnetNode[];
  readonly statuses: readonly (NodeStatus | null)[];
  readonly counts: FeedCounts;
  readonly propagation: Propagation;
}

/** Where a person follows a devnet: a live table on a terminal, lines elsewhere. */
export interface Display {
  readonly note: (text: string) => void;
  readonly show: (view: View) => void;
  /** The last table stays; what follows is written below. */
  readonly end: () => void;
}

export const createDisplay = (stream: NodeJS.WriteStream): Display =>
  stream.isTTY ? createLiveDisplay(stream) : createLineDisplay(stream);

/** Calls `show` as often as any display needs it; each takes what it wants. */
export const SHOW_EVERY_MS = 500;
const LINE_EVERY_MS = 2_000;
const DIGEST_CHARACTERS = 8;

const MISSING_SHOWN = 3;

/** What can be done with a devnet while it runs. */
export function invitation(nodes: readonly DevnetNode[]): readonly string[] {
  const [first] = nodes;
  if (first === undefined) return [];
  return [
    ...nodes.map(({ name, client }) => `${name.padEnd(8)} ${client.url}`),
    "to try while it runs:",
    `  curl ${first.client.url}/v1/status`,
    `  npm start -- tx send --admin ${first.client.url}`,
    `  npm start -- node --listen 127.0.0.1:0 --admin 127.0.0.1:0 --peer ${first.address}`,
  ];
}

/** What has come out, and if it is not what it should be, where the difference lies. */
export function conclusion(
  result: DevnetResult,
  propagation: Propagation,
  counts: FeedCounts | undefined,
): readonly string[] {
  if (counts === undefined || result.error !== null) return [];
  const { equal, submitted, accepted, everywhere, perNode, propagationMs } = result;
  const lines: string[] = [];
  if (counts.overdue > 0) {
    lines.push(
      `the nodes did not take ${counts.overdue} more transactions in time: this rate is too high here`,
    );
  }
  if (accepted < submitted) {
    lines.push(`${submitted - accepted} transactions were not accepted, the first by ${counts.firstRefusal}`);
  }
  if (equal && everywhere === submitted) {
    lines.push(
      `${perNode.length === 1 ? "the pool holds" : `all ${perNode.length} pools are equal:`} ${result.poolSize} transactions, digest ${shortDigest(result.digest ?? "")}`,
    );
  } else {
    lines.push("the pools are not equal:");
    for (const [index, { name, poolSize, digest }] of perNode.entries()) {
      const missing = propagation.missing(index);
      const shown = missing.slice(0, MISSING_SHOWN).map(shortDigest).join(", ");
      const lacks = missing.length === 0 ? "lacks none" : `lacks ${missing.length} (${shown})`;
      lines.push(`  ${name}: ${poolSize} transactions, digest ${shortDigest(digest)}, ${lacks}`);
    }
  }
  if (propagationMs !== null)
    lines.push(`propagation ${delaysText(propagationMs)}, max ${propagationMs.max} ms`);
  for (const { name, exitCode } of perNode) {
    if (exitCode !== 0)
      lines.push(
        `${name} did not end cleanly: ${exitCode === null ? "it was killed" : `exit code ${exitCode}`}`,
      );
  }
  return lines;
}

const shortDigest = (digest: string): string => digest.slice(0, DIGEST_CHARACTERS);

const delaysText = (delays: Delays | null): string =>
  delays === null ? "not measured" : `p50 ${delays.p50} ms, p99 ${delays.p99} ms`;

function createLiveDisplay(stream: NodeJS.WriteStream): Display {
  const live = createLogUpdate(stream);
  return {
    note: (text) => live.persist(text),
    show: (view) => live(`${summary(view)}\n${table(view)}`),
    end: () => live.done(),
  };
}

function createLineDisplay(stream: NodeJS.WriteStream): Display {
  let dueMs = 0;
  return {
    note: (text) => {
      stream.write(`${text}\n`);
    },
    show: (view) => {
      if (performance.now() < dueMs) return;
      dueMs = performance.now() + LINE_EVERY_MS;
      const sizes = view.statuses.map((status) => status?.pools.transactions.size ?? 0);
      stream.write(`${summary(view)}, pools ${Math.min(...sizes)} to ${Math.max(...sizes)}\n`);
    },
    end: () => undefined,
  };
}

const summary = ({ counts, propagation }: View): string =>
  `${(counts.elapsedMs / 1_000).toFixed(0)} s: ${counts.submitted} submitted, ${propagation.complete()} everywhere, ` +
  `propagation ${delaysText(propagation.delays())}`;

function table({ nodes, statuses, propagation }: View): string {
  const drawn = new Table({
    head: ["node", "port", "peers", "pool", "digest", "p50 ms", "p99 ms"],
    colAligns: ["left", "right", "right", "right", "left", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const [index, { name, address }] of nodes.entries()) {
    const status = statuses[index];
    const delays = propagation.delaysTo(index);
    drawn.push([
      name,
      portOf(address),
      status?.peers.connected ?? "",
      status?.pools.transactions.size ?? "",
      shortDigest(status?.pools.transactions.digest ?? ""),
      delays?.p50 ?? "",
      delays?.p99 ?? "",
    ]);
  }
  return drawn.toString();
}

const portOf = (address: string): string => /\/tcp\/(\d+)\//.exec(address)?.[1] ?? "";
