import { SortedMap } from "./sorted-map.ts";

/**
 * What is due when, in order: there are no timers in the core. A deadline is an action under a name; setting a
 * name again replaces it. Finding what is due costs nothing for what is not.
 */
export interface Deadlines<Action> {
  readonly byTime: SortedMap<string, Deadline<Action>>;
  readonly byName: SortedMap<string, number>;
}

export interface Deadline<Action> {
  readonly atMs: number;
  readonly name: string;
  readonly action: Action;
}

export const noDeadlines = <Action>(): Deadlines<Action> => ({
  byTime: SortedMap.empty(),
  byName: SortedMap.empty(),
});

export function setDeadline<Action>(
  deadlines: Deadlines<Action>,
  deadline: Deadline<Action>,
): Deadlines<Action> {
  const { atMs, name } = deadline;
  const cleared = clearDeadline(deadlines, name);
  return {
    byTime: cleared.byTime.set(timeKey(atMs, name), deadline),
    byName: cleared.byName.set(name, atMs),
  };
}

export function clearDeadline<Action>(deadlines: Deadlines<Action>, name: string): Deadlines<Action> {
  const atMs = deadlines.byName.get(name);
  if (atMs === undefined) return deadlines;
  return { byTime: deadlines.byTime.delete(timeKey(atMs, name)), byName: deadlines.byName.delete(name) };
}

export const firstDeadline = <Action>(deadlines: Deadlines<Action>): Deadline<Action> | undefined =>
  deadlines.byTime.first()?.[1];

/** Milliseconds since the epoch have 13 digits until the year 2286; 16 hold every safe integer. */
const TIME_DIGITS = 16;

const timeKey = (atMs: number, name: string): string =>
  `${Math.ceil(atMs).toString().padStart(TIME_DIGITS, "0")} ${name}`;
