import { SLICE_MS } from "./chain/slices.ts";
import { createTurns, QUANTUM_BYTES, type Use } from "./turns.ts";

/** Work that many parties have for the one thread of a node. */
export interface SharedThread<Party> {
  /**
   * Runs it in a later turn of the event loop: when the party has its turn, and after what the party gave before.
   *
   * @param cost of the quantum of a turn
   */
  add(party: Party, cost: number, run: Run): void;
  /** Runs the party's oldest at once until what waits costs no more than this: it does not wait for its turn. */
  hurry(party: Party, costMax: number): void;
  /** Nothing of what the party has given is run any more. */
  leave(party: Party): void;
}

/** A promise that it returns, which never rejects, is for what is done elsewhere. */
export type Run = () => unknown;

export interface SharedThreadOptions {
  readonly quantum?: number;
  /** So much at most is done elsewhere at the same time; what more there is waits here, for its turn. */
  readonly elsewhereMax?: number;
  /** ms, never backwards. */
  readonly clock?: () => number;
  /** Runs it once, after everything that waits for the event loop now. */
  readonly later?: (run: () => void) => void;
}

interface Work {
  readonly cost: number;
  readonly run: Run;
}

/** Never empty. */
interface Queue {
  readonly works: Work[];
  cost: number;
}

/**
 * Deficit round-robin over the parties that have work, a slice of it in each turn of the event loop: so timers, HTTP and
 * what arrives meanwhile never wait for longer than that, and one who has much to do delays others by his share.
 */
export function createSharedThread<Party>({
  quantum = QUANTUM_BYTES,
  elsewhereMax = Number.POSITIVE_INFINITY,
  clock = () => performance.now(),
  later = setImmediate,
}: SharedThreadOptions = {}): SharedThread<Party> {
  const turns = createTurns<Party>(quantum);
  const queues = new Map<Party, Queue>();
  let elsewhere = 0;
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled || turns.size === 0 || elsewhere >= elsewhereMax) return;
    isScheduled = true;
    later(serve);
  }

  function serve(): void {
    isScheduled = false;
    const endMs = clock() + SLICE_MS;
    try {
      do turns.give(useUp);
      while (turns.size > 0 && elsewhere < elsewhereMax && clock() < endMs);
    } finally {
      // Also after a bug of who was served: what the others have is not lost.
      schedule();
    }
  }

  function useUp(party: Party, allowed: number): Use {
    let used = 0;
    for (;;) {
      // It may have left in between.
      const next = queues.get(party)?.works[0];
      if (next === undefined || used + next.cost > allowed) return { used, hasMore: next !== undefined };
      used += next.cost;
      runOldest(party);
    }
  }

  function runOldest(party: Party): void {
    const queue = queues.get(party);
    const work = queue?.works.shift();
    if (queue === undefined || work === undefined) return;
    queue.cost -= work.cost;
    if (queue.works.length === 0) queues.delete(party);
    const done = work.run();
    if (!(done instanceof Promise)) return;
    elsewhere += 1;
    void done.then(() => {
      elsewhere -= 1;
      schedule();
    });
  }

  return {
    add: (party, cost, run) => {
      const queue = queues.get(party) ?? { works: [], cost: 0 };
      queues.set(party, queue);
      queue.works.push({ cost, run });
      queue.cost += cost;
      turns.wait(party);
      schedule();
    },
    hurry: (party, costMax) => {
      while ((queues.get(party)?.cost ?? 0) > costMax) runOldest(party);
      if (!queues.has(party)) turns.leave(party);
    },
    leave: (party) => {
      queues.delete(party);
      turns.leave(party);
    },
  };
}
