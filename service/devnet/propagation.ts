/**
 * Follows transactions from the node they were submitted to into the pools of all others. All nodes run on one
 * machine, so their clocks agree. Holds what is on its way, and of the rest only a count per millisecond.
 */
export interface Propagation {
  /** Before it is handed to its first node. */
  readonly submitted: (hash: string, origin: number) => void;
  /** The node refused it: nobody waits for it any more. */
  readonly refused: (hash: string) => void;
  readonly added: (hash: string, node: number, addedMs: number) => void;
  /** Submitted transactions that are in every pool. */
  readonly complete: () => number;
  /** Submitted transactions that are not in every pool yet. */
  readonly open: () => number;
  /** Submitted transactions that the node does not have yet. */
  readonly missing: (node: number) => readonly string[];
  readonly delays: () => Delays | null;
  /** Until transactions arrived at this node. */
  readonly delaysTo: (node: number) => Delays | null;
}

/** From the pool of the first node to that of another, ms. */
export interface Delays {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

interface Traveller {
  readonly origin: number | null;
  /** By node. */
  readonly addedMs: Map<number, number>;
}

export function createPropagation(nodes: number): Propagation {
  const travellers = new Map<string, Traveller>();
  const total = createHistogram();
  const perNode = Array.from({ length: nodes }, createHistogram);
  let complete = 0;

  const conclude = (hash: string, { origin, addedMs }: Traveller): void => {
    travellers.delete(hash);
    if (origin === null) return;
    complete += 1;
    const startMs = addedMs.get(origin) ?? 0;
    for (const [node, atMs] of addedMs) {
      if (node === origin) continue;
      const delayMs = Math.max(0, Math.round(atMs - startMs));
      total.add(delayMs);
      perNode[node]?.add(delayMs);
    }
  };

  return {
    submitted: (hash, origin) => {
      travellers.set(hash, { origin, addedMs: new Map() });
    },
    refused: (hash) => {
      travellers.delete(hash);
    },
    added: (hash, node, atMs) => {
      // What nobody submitted here came from elsewhere: it is in the pools, and not measured.
      const traveller: Traveller = travellers.get(hash) ?? { origin: null, addedMs: new Map() };
      travellers.set(hash, traveller);
      traveller.addedMs.set(node, atMs);
      if (traveller.addedMs.size === nodes) conclude(hash, traveller);
    },
    complete: () => complete,
    open: () => [...travellers.values()].filter(({ origin }) => origin !== null).length,
    missing: (node) =>
      [...travellers]
        .filter(([, { origin, addedMs }]) => origin !== null && !addedMs.has(node))
        .map(([hash]) => hash),
    delays: total.delays,
    delaysTo: (node) => perNode[node]?.delays() ?? null,
  };
}

function createHistogram(): { readonly add: (ms: number) => void; readonly delays: () => Delays | null } {
  const counts = new Map<number, number>();
  let total = 0;
  const delays = (): Delays | null => {
    if (total === 0) return null;
    const sorted = [...counts].sort(([a], [b]) => a - b);
    const at = (share: number): number => {
      let rest = Math.ceil(total * share);
      for (const [ms, count] of sorted) {
        rest -= count;
        if (rest <= 0) return ms;
      }
      return 0;
    };
    return { p50: at(0.5), p99: at(0.99), max: at(1) };
  };
  return {
    add: (ms) => {
      counts.set(ms, (counts.get(ms) ?? 0) + 1);
      total += 1;
    },
    delays,
  };
}
