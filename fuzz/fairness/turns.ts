/**
 * Whoever serves in turn may be in the middle of one turn of another peer when the wait begins, and give it one more
 * before it comes round. Pollen has no turns: it serves everybody in the step in which it can.
 */
export const BYPASS_MAX = 2;
/** Peers that are looked at with each service, one after the other: what it costs does not grow with their number. */
const LOOKS_PER_SERVICE = 4;

/** Who was given one service, in numbers of that service, and who waits for it. */
export interface Turns<Guest> {
  given: number;
  /** The last of each peer: one more than may pass somebody by. */
  readonly served: Map<Guest, readonly number[]>;
  /** Since which number, the longest wait first. */
  readonly waiting: Map<Guest, number>;
  /** Everybody else, who was looked at last at the end. */
  readonly others: Set<Guest>;
}

/** One peer was served more often than it may be while another waits. */
export interface Bypass<Guest> {
  readonly longest: Guest;
  readonly passes: number;
}

export const freshTurns = <Guest>(guests: Iterable<Guest>): Turns<Guest> => ({
  given: 0,
  served: new Map(),
  waiting: new Map(),
  others: new Set(guests),
});

export function serve<Guest>(turns: Turns<Guest>, guest: Guest): void {
  turns.given += 1;
  turns.served.set(guest, [...(turns.served.get(guest) ?? []), turns.given].slice(-BYPASS_MAX - 1));
  stopWaiting(turns, guest);
}

/**
 * Looks who waits while one peer is served. Nobody has been passed over more often than the one who waits longest, so
 * that nobody else is judged.
 *
 * @returns null if nobody has been passed over too often
 */
export function passedOver<Guest>(
  turns: Turns<Guest>,
  served: Guest,
  waits: (guest: Guest) => boolean,
): Bypass<Guest> | null {
  const isWaiting = (guest: Guest): boolean => guest !== served && waits(guest);
  const longest = [...firstOf(turns.waiting.keys(), 2)].find((guest) => guest !== served);
  let bypass: Bypass<Guest> | null = null;
  if (longest !== undefined && !isWaiting(longest)) stopWaiting(turns, longest);
  else if (longest !== undefined) {
    const since = turns.waiting.get(longest) ?? turns.given;
    const passes = turns.served.get(served)?.filter((number) => number > since).length ?? 0;
    if (passes > BYPASS_MAX) bypass = { longest, passes };
  }
  for (const guest of [...firstOf(turns.others, LOOKS_PER_SERVICE)]) {
    turns.others.delete(guest);
    if (isWaiting(guest)) turns.waiting.set(guest, turns.given);
    else turns.others.add(guest);
  }
  return bypass;
}

export function forget<Guest>({ served, waiting, others }: Turns<Guest>, guest: Guest): void {
  for (const known of [served, waiting, others]) known.delete(guest);
}

function stopWaiting<Guest>({ waiting, others }: Turns<Guest>, guest: Guest): void {
  waiting.delete(guest);
  others.delete(guest);
  others.add(guest);
}

function* firstOf<T>(all: Iterable<T>, count: number): Iterable<T> {
  let left = count;
  for (const one of all) {
    if (left-- === 0) return;
    yield one;
  }
}
