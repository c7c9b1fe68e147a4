import type { AttemptId, Hash } from "../core/ids.ts";
import { CHUNK_BYTES, STREAM_ROOTS_MAX, STREAM_TREES_MAX } from "../core/limits.ts";
import type { Provider } from "../core/services.ts";
import { verifyManifest } from "../core/stream.ts";
import type { SharedThread } from "./shared-thread.ts";
import { nativeHash, type ServedTree, treeSteps } from "./stream-tree.ts";
import { QUANTUM_BYTES } from "./turns.ts";

/** What a peer is served from. */
export interface ServedData {
  readonly provider: Provider;
  readonly tree: ServedTree;
}

/** A stream of one peer. */
export interface RootUser {
  readonly attemptId: AttemptId;
  /** Called once and later, perhaps after it has left. Null: we do not have it, or serve too many others. */
  readonly found: (data: ServedData | null) => void;
}

/** What is served now, each root from one copy of its data and one tree, for any number of peers. */
export interface ServedRoots {
  enter(root: Hash, user: RootUser): void;
  /** Idempotent. */
  leave(root: Hash, user: RootUser): void;
}

export interface ServedRootsOptions {
  /** What can be served now; null if it is not kept. */
  readonly provide: (root: Hash) => Provider | null;
  readonly serving: SharedThread<AttemptId>;
}

/** Never without users: with the last one the data goes, and what is being computed is left. */
interface ServedRoot {
  readonly root: Hash;
  readonly users: Set<RootUser>;
  // Both are null when everybody has left: the work may still have to wait for its turn for long.
  making: Making | null;
  data: ServedData | null;
}

interface Making {
  readonly provider: Provider;
  readonly steps: Iterator<void, ServedTree>;
}

/**
 * Providing data and hashing it takes the turns of who waits for it: of the first if there are several. It ends when
 * nobody does any more, so that whoever asks and goes away has paid for what was done.
 */
export function createServedRoots({ provide, serving }: ServedRootsOptions): ServedRoots {
  const served = new Map<Hash, ServedRoot>();
  /** Those that were used last: whoever comes later need not wait for them. */
  const trees = new Map<Hash, ServedTree>();

  /** A piece of work for this root, if somebody still waits for it then. */
  function work(one: ServedRoot, cost: number, run: () => void): void {
    const [first] = one.users;
    if (first === undefined) return;
    serving.add(first.attemptId, cost, () => {
      if (served.get(one.root) === one) run();
    });
  }

  function begin(one: ServedRoot): void {
    work(one, QUANTUM_BYTES, () => {
      const provider = provide(one.root);
      if (provider === null) {
        finish(one, null);
        return;
      }
      one.making = { provider, steps: treeSteps(provider) };
      // How much there was to be encoded is known only now.
      work(one, provider.size, () => advance(one));
    });
  }

  function advance(one: ServedRoot): void {
    const { root, making } = one;
    if (making === null) return;
    const { provider, steps } = making;
    const known = trees.get(root);
    const step = known === undefined ? stepOf(steps) : ({ done: true, value: known } as const);
    if (step !== null && step.done !== true) work(one, CHUNK_BYTES, () => advance(one));
    // Serving what does not hash to its root would be our own violation.
    else if (step === null || !verifyManifest(root, step.value.manifest, nativeHash)) finish(one, null);
    else finish(one, { provider, tree: step.value });
  }

  function finish(one: ServedRoot, data: ServedData | null): void {
    one.data = data;
    one.making = null;
    if (data === null) served.delete(one.root);
    else remember(one.root, data.tree);
    for (const user of [...one.users]) user.found(data);
  }

  function remember(root: Hash, tree: ServedTree): void {
    trees.delete(root);
    trees.set(root, tree);
    const [oldest] = trees.keys();
    if (trees.size > STREAM_TREES_MAX && oldest !== undefined) trees.delete(oldest);
  }

  return {
    enter: (root, user) => {
      const known = served.get(root);
      known?.users.add(user);
      // Who waits for the tree is told when it is there.
      if (known !== undefined && known.data === null) return;
      if (known === undefined && served.size < STREAM_ROOTS_MAX) {
        const one: ServedRoot = { root, users: new Set([user]), making: null, data: null };
        served.set(root, one);
        begin(one);
        return;
      }
      serving.add(user.attemptId, QUANTUM_BYTES, () => user.found(known?.data ?? null));
    },
    leave: (root, user) => {
      const one = served.get(root);
      if (one === undefined || !one.users.delete(user) || one.users.size > 0) return;
      served.delete(root);
      one.making = null;
      one.data = null;
    },
  };
}

/** @returns null if the data cannot be read */
function stepOf(steps: Iterator<void, ServedTree>): IteratorResult<void, ServedTree> | null {
  try {
    return steps.next();
  } catch {
    return null;
  }
}
