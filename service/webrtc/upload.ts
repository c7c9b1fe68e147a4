/** A connection that has messages to send and waits for its turn. */
export interface Sender {
  /** Sends what waits, oldest first on each channel, in all at most so many bytes. @returns how many it were */
  sendUpTo(bytes: number): number;
  /** Something still waits for a turn, not only for room in the transport. */
  hasMore(): boolean;
  /** It has waited for so long that others might take it for stalled: it is not. */
  waitsOn(): void;
}

/** What all connections of a node send together is limited; who waits gets as much as any other who waits. */
export interface Upload {
  /** @returns true if so many bytes may leave at once; they are counted */
  take(bytes: number): boolean;
  /** So many bytes leave whatever there is: the others wait longer. */
  force(bytes: number): void;
  /** The sender gets turns until it has no more. */
  wait(sender: Sender): void;
  leave(sender: Sender): void;
}

export interface UploadOptions {
  readonly bytesPerSecond: number;
  /** ms, never backwards. */
  readonly clock: () => number;
  /** Runs it once after so many ms, without keeping the process alive. */
  readonly after: (ms: number, run: () => void) => void;
}

/** What a turn adds to what a sender may send. Messages have up to four times as much: they take several. */
const QUANTUM_BYTES = 16_384;
/** What an idle node saves up, in time at full rate: so short that no second has 5 % too much. */
const SAVED_MS = 40;
const TURN_MS_MIN = 5;
/** Half of what the core grants a full channel before it takes the peer for stalled. */
const WAITS_ON_EVERY_MS = 4_000;

/**
 * Deficit round-robin (Shreedhar and Varghese, 1995) over a bucket of tokens: each round every sender that waits may
 * send QUANTUM_BYTES more, and what it did not use it keeps for its next message. The bucket may be overdrawn by one
 * message, which later ones wait for: so the rate is exact in the long run, whatever the sizes.
 */
export function createUpload({ bytesPerSecond, clock, after }: UploadOptions): Upload {
  const bytesPerMs = bytesPerSecond / 1_000;
  const savedMax = bytesPerMs * SAVED_MS;
  /** In the order of their turns, with what each may send. */
  const ring = new Map<Sender, number>();
  let saved = savedMax;
  let refilledMs = clock();
  let toldMs = refilledMs;
  let isScheduled = false;

  function refill(): void {
    const nowMs = clock();
    saved = Math.min(savedMax, saved + (nowMs - refilledMs) * bytesPerMs);
    refilledMs = nowMs;
  }

  function serve(): void {
    isScheduled = false;
    refill();
    while (saved > 0) {
      const next = ring.entries().next().value;
      if (next === undefined) return;
      turn(...next);
    }
    if (clock() >= toldMs + WAITS_ON_EVERY_MS) {
      toldMs = clock();
      for (const sender of [...ring.keys()]) sender.waitsOn();
    }
    schedule();
  }

  function turn(sender: Sender, left: number): void {
    const allowed = left + QUANTUM_BYTES;
    const sent = sender.sendUpTo(allowed);
    saved -= sent;
    // It goes to the end; one that has left meanwhile stays away.
    if (!ring.delete(sender) || !sender.hasMore()) return;
    ring.set(sender, allowed - sent);
  }

  function schedule(): void {
    if (isScheduled || ring.size === 0) return;
    isScheduled = true;
    const debtMs = Math.ceil(-saved / bytesPerMs);
    // However long that is: who waits has to be told so.
    after(Math.min(WAITS_ON_EVERY_MS / 2, Math.max(TURN_MS_MIN, debtMs)), serve);
  }

  return {
    take: (bytes) => {
      if (ring.size > 0) return false;
      refill();
      if (saved <= 0) return false;
      saved -= bytes;
      return true;
    },
    force: (bytes) => {
      refill();
      saved -= bytes;
    },
    wait: (sender) => {
      if (ring.has(sender)) return;
      if (ring.size === 0) toldMs = clock();
      ring.set(sender, 0);
      schedule();
    },
    leave: (sender) => {
      ring.delete(sender);
    },
  };
}
