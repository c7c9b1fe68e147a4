import fc from "fast-check";
import { assert } from "../../core/assert.ts";
import type { Effect } from "../../core/effects.ts";
import type { Reason } from "../../core/reasons.ts";
import type { Config } from "../../core/state.ts";
import { brokenInvariants } from "../../reducers/invariants.ts";
import { control, say } from "../../reducers/testing/messages.ts";
import { type TestNode, testNode } from "../../reducers/testing/node.ts";
import { liveOf, type TestPeer } from "../../reducers/testing/peers.ts";

// What all models share: the node that is compared with them, and commands.

/** A node, and what it did since it was last looked at. */
export interface World {
  readonly node: TestNode;
  readonly look: () => Seen;
}

export interface Seen {
  readonly effects: readonly Effect[];
  /** How live peers ended, in order. */
  readonly ended: readonly Reason[];
}

/** Far more than any command causes before the next look. */
const EFFECTS_MAX = 10_000;

export function createWorld(changes: Partial<Config> = {}): World {
  const effects: Effect[] = [];
  const ended: Reason[] = [];
  const node = testNode(changes, "us", (input, result) => {
    const broken = brokenInvariants(result.state);
    assert(broken.length === 0, `no broken invariant after ${input.type}: ${broken.join("; ")}`);
    effects.push(...result.effects);
    assert(effects.length < EFFECTS_MAX, "what a command causes has an end");
    for (const action of result.actions) if (action.type === "connection/ended") ended.push(action.reason);
  });
  return { node, look: () => ({ effects: effects.splice(0), ended: ended.splice(0) }) };
}

/** Less than PING_AFTER_MS: time passes in such portions, and the peer answers each Ping. */
export const PORTION_MS = 5_000;

/** A peer that has nothing to say stays alive. */
export function answerPing(node: TestNode, peer: TestPeer): void {
  const open = liveOf(node, peer)?.control.awaitingPong;
  if (open != null) say(node, peer.attemptId, control({ tag: "pong", n: open.n }));
}

/** One command: what it does to both, and when it makes sense. A failure shows its name. */
export const command = <Model extends object, Real>(
  name: string,
  run: (model: Model, real: Real) => void,
  check: (model: Readonly<Model>) => boolean = () => true,
): fc.Command<Model, Real> => ({ check, run, toString: () => name });

export interface Size {
  readonly numRuns: number;
  readonly maxCommands: number;
}

/** Random sequences of these commands, each run against a fresh model and a fresh node. */
export function checkModel<Model extends object, Real>(
  commands: fc.Arbitrary<fc.Command<Model, Real>>[],
  setup: () => { model: Model; real: Real },
  { numRuns, maxCommands }: Size,
): void {
  fc.assert(
    fc.property(fc.commands(commands, { maxCommands, size: "max" }), (sequence) => {
      fc.modelRun(setup, sequence);
    }),
    { numRuns },
  );
}
