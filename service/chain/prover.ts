import type { Genesis } from "./genesis.ts";
import { SLICE_MS } from "./slices.ts";
import { type Claim, createSearch, encodeWork, proofOf, type SearchStep } from "./work.ts";

export interface Prover {
  /** Gives up what it was making and begins this. */
  start(claim: Claim): void;
  /** Nothing comes of what was begun, not even if it is found already. */
  stop(): void;
}

/** Attempts between two looks at the clock: some tens of microseconds. */
const ATTEMPTS = 32;

/** Makes work on the event loop, SLICE_MS at a time. @param made called in a later turn with the bytes of the item */
export function createProver(
  { workBits, proofBytes }: Genesis,
  made: (claim: Claim, bytes: Uint8Array) => void,
): Prover {
  let next: NodeJS.Immediate | undefined;
  const stop = (): void => clearImmediate(next);

  const search = (claim: Claim, attempt: () => SearchStep): void => {
    const found = searchSlice(attempt);
    if (found === null) {
      next = setImmediate(() => search(claim, attempt));
      return;
    }
    made(claim, encodeWork(claim, found.nonce, proofOf(found.digest, proofBytes)));
  };
  return {
    start: (claim) => {
      stop();
      const attempt = createSearch(claim, workBits);
      next = setImmediate(() => search(claim, attempt));
    },
    stop,
  };
}

function searchSlice(attempt: () => SearchStep): SearchStep {
  const startedMs = performance.now();
  do {
    for (let count = 0; count < ATTEMPTS; count++) {
      const found = attempt();
      if (found !== null) return found;
    }
  } while (performance.now() - startedMs < SLICE_MS);
  return null;
}
