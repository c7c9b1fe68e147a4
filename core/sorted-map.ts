import btree from "sorted-btree";

/** Keys compare by code units, so the order is the same on every machine. */
export type Key = string | number;

/** Small nodes: an update copies one per level, and with these a map of 500 costs what one of 10 does. */
const NODE_ENTRIES = 8;

const compare = <K extends Key>(a: K, b: K): number => (a === b ? 0 : a < b ? -1 : 1);

const empty = new btree.default<never, never>(undefined, compare, NODE_ENTRIES);

/**
 * A persistent map in key order: every change returns a new map and costs O(log n), the old one stays valid.
 *
 * Everything that outsiders can make many of (peers, pools, fetches, deadlines) lives in one of these. Immer
 * neither drafts nor freezes it: replace values, do not mutate them. The order of iteration depends on the keys
 * alone, never on history, so two states that are equal are also walked alike.
 */
export class SortedMap<K extends Key, V> {
  readonly #tree: btree.default<K, V>;

  private constructor(tree: btree.default<K, V>) {
    this.#tree = tree;
  }

  static empty<K extends Key, V>(): SortedMap<K, V> {
    return new SortedMap(empty as unknown as btree.default<K, V>);
  }

  static from<K extends Key, V>(entries: Iterable<readonly [K, V]>): SortedMap<K, V> {
    const tree = new btree.default<K, V>(undefined, compare, NODE_ENTRIES);
    for (const [key, value] of entries) tree.set(key, value);
    return new SortedMap(tree);
  }

  get size(): number {
    return this.#tree.size;
  }

  get(key: K): V | undefined {
    return this.#tree.get(key);
  }

  has(key: K): boolean {
    return this.#tree.has(key);
  }

  set(key: K, value: V): SortedMap<K, V> {
    // Without `true` the library returns the old tree when the key exists.
    return new SortedMap(this.#tree.with(key, value, true) as btree.default<K, V>);
  }

  delete(key: K): SortedMap<K, V> {
    return this.#tree.has(key) ? new SortedMap(this.#tree.without(key)) : this;
  }

  /** Replaces the value of a key that exists; a missing key changes nothing. */
  update(key: K, change: (value: V) => V): SortedMap<K, V> {
    const value = this.#tree.get(key);
    return value === undefined ? this : this.set(key, change(value));
  }

  first(): readonly [K, V] | undefined {
    return this.#tree.nextHigherPair(undefined);
  }

  last(): readonly [K, V] | undefined {
    return this.#tree.nextLowerPair(undefined);
  }

  /** The entry with the smallest key above `key`. */
  after(key: K): readonly [K, V] | undefined {
    return this.#tree.nextHigherPair(key);
  }

  /** The entry with the greatest key below `key`. */
  before(key: K): readonly [K, V] | undefined {
    return this.#tree.nextLowerPair(key);
  }

  /** In key order, from `from` (inclusive) if given. */
  entries(from?: K): IterableIterator<[K, V]> {
    return this.#tree.entries(from);
  }

  keys(from?: K): IterableIterator<K> {
    return this.#tree.keys(from);
  }

  values(from?: K): IterableIterator<V> {
    return this.#tree.values(from);
  }
}
