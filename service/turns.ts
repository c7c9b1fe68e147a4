/** Who waits for one thing that all share, and what each may use of it. */
export interface Turns<Party> {
  /** How many wait. */
  readonly size: number;
  /** Who waits, in the order of their next turns. */
  parties(): readonly Party[];
  /** The party gets turns until it has nothing more; its first comes after one of everybody who waits already. */
  wait(party: Party): void;
  leave(party: Party): void;
  /** One turn. `use` is told what the party may use up, and must not use more. */
  give(use: (party: Party, allowed: number) => Use): void;
}

export interface Use {
  readonly used: number;
  /** True: it keeps the rest of its allowance for its next turn. False: it leaves, and starts at none next time. */
  readonly hasMore: boolean;
}

/** What a turn adds to what a party may use. Messages have up to four times as much: they take several. */
export const QUANTUM_BYTES = 16_384;

/**
 * Deficit round-robin (Shreedhar and Varghese, 1995): each round every party that waits may use a quantum more, and what
 * it did not use it keeps for its next piece. So who waits gets as much as any other, but for a quantum and a piece of
 * each of the two: whatever they ask for, in pieces of whatever size.
 */
export function createTurns<Party>(quantum: number): Turns<Party> {
  /** In the order of their turns, with what each has kept. */
  const ring = new Map<Party, number>();
  return {
    get size() {
      return ring.size;
    },
    parties: () => [...ring.keys()],
    wait: (party) => {
      if (!ring.has(party)) ring.set(party, 0);
    },
    leave: (party) => {
      ring.delete(party);
    },
    give: (use) => {
      const next = ring.entries().next().value;
      if (next === undefined) return;
      const [party, kept] = next;
      const { used, hasMore } = use(party, kept + quantum);
      // It goes to the end; one that has left meanwhile stays away.
      if (ring.delete(party) && hasMore) ring.set(party, kept + quantum - used);
    },
  };
}
