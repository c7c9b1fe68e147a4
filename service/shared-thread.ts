import { SLICE_MS } from "./chain/slices.ts";
import { createTurns, QUANTUM_BYTES, type Use } from "./turns.ts";

/** Work that many parties have for the one thread of a node. */
export interface SharedThread<Party> {
  /**
   * Runs it in a later turn of the event loop: when the party has its turn, and after what the party gave before.
   *
   * @param cost in the unit of the quantum of a turn
   */
  add(party: Party, cost: number, run: Run): void;
  /** What the party has waiting costs so much. */
  waiting(party: Party): number;
  /** Drops what the party has waiting. */
  leave(party: Party): void;
}

/** A returned promise stands for work done off this thread. It must not reject. */
export type Run = () => unknown;

export interface SharedThreadOptions {
  readonly quantum?: number;
  /** At most so many returned promises are pending; further work waits for its turn. */
  readonly elsewhereMax?: number;
  /** ms, never backwards. */
  readonly clock?: () => number;
  /** Runs it once, in a later turn of the event loop. */
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
    waiting: (party) => queues.get(party)?.cost ?? 0,
    leave: (party) => {
      queues.delete(party);
      turns.leave(party);
    },
  };
}
