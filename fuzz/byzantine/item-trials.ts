import type { Hash } from "../../core/ids.ts";
import { accountOf, jobOf, PADDING_MAX } from "../sim-items.ts";
import type { ClusterObserver } from "../simulator.ts";
import { createWatched } from "../watched.ts";
import { type Line, saying, type Trial } from "./behaviour.ts";
import { createLaws } from "./laws.ts";
import { createLiar } from "./liar.ts";

/** 7.7: as many items as may be asked for at once, and as large as they come: they do not fit into one message. */

const ITEMS = 16;
const LIAR = 2;
const SETTLING_MS = 10_000;

function playLargeItems(seed: number, observers: readonly ClusterObserver[] = []): readonly string[] {
  const isLiar = (node: number): boolean => node === LIAR;
  const { cluster } = createWatched(
    {
      nodes: 3,
      seed,
      observers: [createLaws(isLiar), ...observers],
    },
    isLiar,
  );
  const payments = Array.from({ length: ITEMS }, (_, number) => {
    const transaction = { fee: 5n, sender: accountOf(number), nonce: 0, verdict: "valid", salt: 0 } as const;
    return cluster.submit(0, transaction).hash;
  });
  cluster.runFor(1_000);
  cluster.produce(0);
  cluster.runFor(1_000);
  const proofs = payments.map((payment, salt) => {
    const size = PADDING_MAX - cluster.random.int(1_000);
    const jobId = jobOf(payment);
    return cluster.submitSnark(0, { jobId, fee: 1n, prover: accountOf(1), verdict: "valid", salt, size })
      .hash;
  });
  cluster.runFor(1_000);
  cluster.dial(1, 0);
  cluster.runUntilQuiet();
  let got = 0;
  const asking = saying("asks for all of them", "7.7", null, (line) => {
    got = 0;
    askAll(line, proofs, (count) => {
      got += count;
    });
  });
  const liar = createLiar(cluster, { index: LIAR, seed, behaviours: [asking] });
  liar.dial(0);
  cluster.runFor(SETTLING_MS);
  liar.leave();
  cluster.runUntilQuiet();
  const held = cluster.node(1).state.pools.snark.entries.size;
  return [
    ...(held === ITEMS ? [] : [`P16: ${held} of ${ITEMS} proofs have come to the other node`]),
    ...(got === ITEMS ? [] : [`P16: ${got} of ${ITEMS} proofs were served`]),
  ];
}

/** A shorter list means that the rest did not fit: it is asked for again. */
function askAll({ request }: Line, hashes: readonly Hash[], served: (count: number) => void): void {
  const ask = (left: readonly Hash[]): void => {
    if (left.length === 0) return;
    request({ tag: "snarks", hashes: left }, (body) => {
      const count = body.tag === "items" ? body.found.filter(({ tag }) => tag === "some").length : 0;
      served(count);
      if (count > 0) ask(left.slice(count));
    });
  };
  ask(hashes);
}

export const ITEM_TRIALS: readonly Trial[] = [{ name: "sixteen large items at once", play: playLargeItems }];
