/**
 * Follows transactions from the node they were submitted to into the pools of all others. All nodes run on one
 * machine, so their clocks agree. Holds what is on its way, and of the rest only a count per millisecond. What a block
 * takes out of the pools before it was seen in all of them is not measured.
 */
export interface Propagation {
  /** Before it is handed to its first node. */
  readonly submitted: (hash: string, origin: number) => void;
  /** Nobody waits for it any more: a node refused it, or a block has it. */
  readonly gone: (hash: string) => void;
  readonly added: (hash: string, node: number, addedMs: number) => void;
  /** Pools of this node are not waited for any more, what was submitted to it is not measured. */
  readonly exclude: (node: number) => void;
  /** Transactions that were seen in every pool. */
  readonly complete: () => number;
  /** Transactions submitted to this node that were not seen in every pool yet. */
  readonly openFrom: (origin: number) => number;
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
  readonly origin: number;
  /** By node. */
  readonly addedMs: Map<number, number>;
}

export function createPropagation(nodes: number): Propagation {
  const travellers = new Map<string, Traveller>();
  const excluded = new Set<number>();
  const total = createHistogram();
  const perNode = Array.from({ length: nodes }, createHistogram);
  let complete = 0;

  const isEverywhere = ({ addedMs }: Traveller): boolean => addedMs.size === nodes - excluded.size;

  const conclude = (hash: string, { origin, addedMs }: Traveller): void => {
    travellers.delete(hash);
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
      if (!excluded.has(origin)) travellers.set(hash, { origin, addedMs: new Map() });
    },
    gone: (hash) => {
      travellers.delete(hash);
    },
    added: (hash, node, atMs) => {
      // What nobody submitted here came from elsewhere, and is not measured.
      const traveller = travellers.get(hash);
      if (traveller === undefined || excluded.has(node)) return;
      traveller.addedMs.set(node, atMs);
      if (isEverywhere(traveller)) conclude(hash, traveller);
    },
    exclude: (node) => {
      excluded.add(node);
      for (const [hash, traveller] of travellers) {
        traveller.addedMs.delete(node);
        if (traveller.origin === node) travellers.delete(hash);
        else if (isEverywhere(traveller)) conclude(hash, traveller);
      }
    },
    complete: () => complete,
    openFrom: (from) => [...travellers.values()].filter(({ origin }) => origin === from).length,
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
