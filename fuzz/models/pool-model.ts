import { assert } from "../../core/assert.ts";
import type { Hash } from "../../core/ids.ts";
import { entryFor, type PoolInfo, type PoolName, priorityOf } from "../../core/pools.ts";
import { comparePriority, GREATEST_PRIORITY, type Priority } from "../../core/priority.ts";
import { START_MS } from "../../reducers/testing/chain.ts";
import { commitmentOf, type Item, itemOf, snarkOf } from "../../reducers/testing/items.ts";

// A pool as 7.4 to 7.6 describe it, by lists alone.

export interface PoolModel {
  readonly name: PoolName;
  readonly capacity: number;
  /** By growing index; what was removed is missing. */
  log: readonly { readonly index: number; readonly item: Item }[];
  next: number;
  /** What the present tip refuses is not fetched before it changes. */
  refused: Map<Hash, "spent" | "notNow">;
  /** Every floor that the pool has had, the present one last. */
  readonly floors: (Priority | null)[];
}

/** Only transactions have a floor: the others hold one item for each job. */
export const poolModel = (name: PoolName, capacity: number): PoolModel => ({
  name,
  capacity: name === "transaction" ? capacity : Number.POSITIVE_INFINITY,
  log: [],
  next: 0,
  refused: new Map(),
  floors: [null],
});

/** Null is below everything. */
export const isAbove = (a: Priority | null, b: Priority | null): boolean =>
  a !== null && (b === null || comparePriority(a, b) < 0);

export const greatest = (priorities: readonly (Priority | null)[]): Priority | null =>
  priorities.reduce((most, other) => (isAbove(other, most) ? other : most), null);

export const priorityIn = ({ info }: Item): Priority => priorityOf(info);

const slotIn = ({ info }: Item): string => entryFor(info, 0).slot;

export const floorOf = ({ floors }: PoolModel): Priority | null => floors.at(-1) ?? null;

export const holds = ({ log }: PoolModel, { hash }: Item): boolean =>
  log.some(({ item }) => item.hash === hash);

/** Nothing is known against it. */
export function wants(pool: PoolModel, item: Item): boolean {
  if (holds(pool, item) || pool.refused.has(item.hash)) return false;
  const twin = pool.log.find((entry) => slotIn(entry.item) === slotIn(item))?.item;
  if (twin !== undefined) return isAbove(priorityIn(item), priorityIn(twin));
  return isAbove(priorityIn(item), floorOf(pool));
}

/** It is verified: the greater of its slot stays, and the least has to go if there is no room. */
export function add(pool: PoolModel, item: Item): void {
  if (!wants(pool, item)) return;
  const others = pool.log.filter((entry) => slotIn(entry.item) !== slotIn(item));
  pool.log = [...others, { index: pool.next, item }];
  pool.next += 1;
  const byPriority = [...pool.log].sort((a, b) => comparePriority(priorityIn(a.item), priorityIn(b.item)));
  const evicted = byPriority[pool.capacity];
  pool.log = pool.log.filter((entry) => entry !== evicted);
  noteFloor(pool);
}

/** A new tip that includes or ends these. */
export function changeTip(pool: PoolModel, removed: readonly Item[], extendsOld: boolean): void {
  pool.log = pool.log.filter(({ item }) => !removed.includes(item));
  const isSpent = pool.name === "transaction";
  pool.refused = new Map(isSpent ? removed.map(({ hash }) => [hash, "spent"]) : []);
  noteFloor(pool);
  if (!extendsOld) pool.floors.push(GREATEST_PRIORITY, floorOf(pool));
}

function noteFloor(pool: PoolModel): void {
  const isFull = pool.log.length >= pool.capacity;
  const priorities = pool.log.map(({ item }) => priorityIn(item)).sort(comparePriority);
  pool.floors.push(isFull ? (priorities.at(-1) ?? null) : null);
}

export const ITEMS_COUNT = 12;
/** Every second item has a rival for its slot. */
const SLOTS_COUNT = 8;
/** Commitments do not expire while a model runs. */
const ISSUED_MS = START_MS + 86_400_000;

const FEES = [50n, 100n, 100n, 700n, 20n, 300n, 90n, 1_000n, 60n, 110n, 5n, 400n] as const;

/** All items there are in a model: always the same ones. */
export const ITEMS: { readonly [Pool in PoolName]: readonly Item<PoolInfo>[] } = {
  transaction: FEES.map((fee, number) => itemOf(`model ${number}`, fee, 0, slotNamed(number))),
  snark: FEES.map((fee, number) => snarkOf(`model ${number}`, fee, slotNamed(number))),
  "snark-job-commitment": FEES.map((fee, number) =>
    commitmentOf(`model ${number}`, ISSUED_MS, fee, slotNamed(number)),
  ),
};

export function itemAt(pool: PoolName, number: number): Item {
  const item = ITEMS[pool][number];
  assert(item !== undefined, "a number below ITEMS_COUNT");
  return item;
}

function slotNamed(number: number): string {
  return `slot ${number % SLOTS_COUNT}`;
}
