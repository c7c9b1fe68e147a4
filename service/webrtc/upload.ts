import { createTurns, QUANTUM_BYTES, type Use } from "../turns.ts";

/** A connection that has messages to send and waits for its turn. */
export interface Sender {
  /** Sends what waits, oldest first on each channel, in all at most so many bytes. @returns how many it were */
  sendUpTo(bytes: number): number;
  /** Something still waits for a turn, not only for room in the transport. */
  hasMore(): boolean;
  /** Told now and then while it waits, so that the core does not take the peer for stalled. */
  waitsOn(): void;
}

/** Limits what all connections of a node send together; all that wait get equal shares. */
export interface Upload {
  /** @returns true if so many bytes may leave at once; they are counted */
  take(bytes: number): boolean;
  /** The same for what is urgent: it leaves even while others wait, who then wait longer. */
  takeUrgent(bytes: number): boolean;
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

/** What an idle node saves up, in time at full rate: so short that no second has 5 % too much. */
const SAVED_MS = 40;
/**
 * Of the rate at most this share is used out of turn, saved up for so long: who waits has the other half, and with what is
 * saved above no second has 5 % too much.
 */
const URGENT_SHARE = 0.5;
const URGENT_SAVED_MS = 10;
const TURN_MS_MIN = 5;
/** Half of what the core grants a full channel before it takes the peer for stalled. */
const WAITS_ON_EVERY_MS = 4_000;

/**
 * Deficit round-robin over a bucket of tokens. The bucket may be overdrawn by what one turn allows and by a little that
 * is urgent, which later turns wait for: so the rate is exact in the long run, whatever the sizes.
 */
export function createUpload({ bytesPerSecond, clock, after }: UploadOptions): Upload {
  const bytesPerMs = bytesPerSecond / 1_000;
  const savedMax = bytesPerMs * SAVED_MS;
  const turns = createTurns<Sender>(QUANTUM_BYTES);
  const urgentMax = bytesPerMs * URGENT_SAVED_MS;
  let saved = savedMax;
  let urgent = urgentMax;
  let refilledMs = clock();
  let toldMs = refilledMs;
  let isScheduled = false;

  function refill(): void {
    const nowMs = clock();
    const gained = (nowMs - refilledMs) * bytesPerMs;
    saved = Math.min(savedMax, saved + gained);
    urgent = Math.min(urgentMax, urgent + gained * URGENT_SHARE);
    refilledMs = nowMs;
  }

  function serve(): void {
    isScheduled = false;
    refill();
    while (saved > 0 && turns.size > 0) turns.give(send);
    if (clock() >= toldMs + WAITS_ON_EVERY_MS) {
      toldMs = clock();
      for (const sender of turns.parties()) sender.waitsOn();
    }
    schedule();
  }

  function send(sender: Sender, allowed: number): Use {
    const used = sender.sendUpTo(allowed);
    saved -= used;
    return { used, hasMore: sender.hasMore() };
  }

  function schedule(): void {
    if (isScheduled || turns.size === 0) return;
    isScheduled = true;
    const debtMs = Math.ceil(-saved / bytesPerMs);
    // However long that is: who waits has to be told so.
    after(Math.min(WAITS_ON_EVERY_MS / 2, Math.max(TURN_MS_MIN, debtMs)), serve);
  }

  return {
    take: (bytes) => {
      if (turns.size > 0) return false;
      refill();
      if (saved <= 0) return false;
      saved -= bytes;
      return true;
    },
    takeUrgent: (bytes) => {
      refill();
      if (urgent <= 0) return false;
      urgent -= bytes;
      saved -= bytes;
      return true;
    },
    wait: (sender) => {
      if (turns.size === 0) toldMs = clock();
      turns.wait(sender);
      schedule();
    },
    leave: turns.leave,
  };
}
