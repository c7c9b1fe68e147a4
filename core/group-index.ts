import { drawInt, type Rng } from "./rng.ts";
import { SortedMap } from "./sorted-map.ts";

/**
 * Keys at numbered places, each in a group: drawn so that every group has the same chances, however many keys it
 * has. Immutable; adding and removing cost O(log n).
 */
export interface GroupIndex {
  readonly keys: SortedMap<number, string>;
  /** The places of each group: `<group> <place>`. */
  readonly members: SortedMap<string, number>;
  readonly groups: SortedMap<string, { readonly rank: number; readonly size: number }>;
  /** The groups numbered without gaps, so that one can be drawn. */
  readonly ranks: SortedMap<number, string>;
}

export const emptyIndex: GroupIndex = {
  keys: SortedMap.empty(),
  members: SortedMap.empty(),
  groups: SortedMap.empty(),
  ranks: SortedMap.empty(),
};

/** @param place must be free */
export function addKey(index: GroupIndex, group: string, place: number, key: string): GroupIndex {
  const known = index.groups.get(group);
  const { rank, size } = known ?? { rank: index.groups.size, size: 0 };
  return {
    keys: index.keys.set(place, key),
    members: index.members.set(memberKey(group, place), place),
    groups: index.groups.set(group, { rank, size: size + 1 }),
    ranks: known === undefined ? index.ranks.set(rank, group) : index.ranks,
  };
}

/** @param group the one under which something was added at this place */
export function removeKey(index: GroupIndex, group: string, place: number): GroupIndex {
  const known = index.groups.get(group);
  if (known === undefined || !index.members.has(memberKey(group, place))) return index;
  const rest = {
    ...index,
    keys: index.keys.delete(place),
    members: index.members.delete(memberKey(group, place)),
  };
  if (known.size > 1) return { ...rest, groups: index.groups.set(group, { ...known, size: known.size - 1 }) };
  const groups = index.groups.delete(group);
  // The last one moves to the gap.
  const [lastRank, last] = index.ranks.last() ?? [known.rank, group];
  const ranks = index.ranks.delete(lastRank);
  if (last === group) return { ...rest, groups, ranks };
  return {
    ...rest,
    groups: groups.update(last, ({ size }) => ({ rank: known.rank, size })),
    ranks: ranks.set(known.rank, last),
  };
}

/** All keys but those of the groups `without`: from a random group and place on, one group after the other. */
export function* drawKeys(
  index: GroupIndex,
  holder: { rng: Rng },
  places: number,
  without: ReadonlySet<string>,
): Generator<string> {
  if (index.ranks.size === 0) return;
  const first = drawInt(holder, index.ranks.size);
  const place = drawInt(holder, places);
  for (const from of [first, 0]) {
    for (const [rank, group] of index.ranks.entries(from)) {
      if (from === 0 && rank >= first && first > 0) return;
      if (!without.has(group)) yield* keysOf(index, group, place);
    }
    if (first === 0) return;
  }
}

function* keysOf({ members, keys }: GroupIndex, group: string, start: number): Generator<string> {
  for (const from of [start, 0]) {
    for (const [member, place] of members.entries(memberKey(group, from))) {
      if (!member.startsWith(`${group} `) || (from === 0 && start > 0 && place >= start)) break;
      const key = keys.get(place);
      if (key !== undefined) yield key;
    }
    if (start === 0) return;
  }
}

/** Places sort as numbers. */
const PLACE_DIGITS = 4;

const memberKey = (group: string, place: number): string =>
  `${group} ${place.toString().padStart(PLACE_DIGITS, "0")}`;
