/** A broken invariant: a bug of ours, never something a peer can cause. Only the composition root catches it. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** @param invariant the invariant, stated positively */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new AssertionError(invariant);
}
