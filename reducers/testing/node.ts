import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import type { Action, Input } from "../../core/actions.ts";
import { assert } from "../../core/assert.ts";
import { ascii, type Hex, toHex } from "../../core/bytes.ts";
import type { Effect } from "../../core/effects.ts";
import { toPeerId } from "../../core/identity.ts";
import type { PeerId, RequestId } from "../../core/ids.ts";
import { HALF_OPEN_MAX, PEERS_MAX_DEFAULT, TRANSACTION_CAPACITY_DEFAULT } from "../../core/limits.ts";
import { type AdmissionLimits, type Config, initialState, type State } from "../../core/state.ts";
import { nextDeadline, step } from "../step.ts";
import { CHAIN, CHAIN_ID, START_MS } from "./chain.ts";
import type { Result } from "./results.ts";

// What the tests of the core share: nodes and peers in any state, brought there by inputs alone. Results of crypto
// and chain are events like others, so no secret key is needed; public keys are real ones, since nodes check that.

export interface Party {
  readonly publicKey: Hex;
  readonly peerId: PeerId;
}

const parties = new Map<string, Party>();

/** The same name is always the same key; `us` is the node under test. */
export function party(name: string): Party {
  const known = parties.get(name);
  if (known !== undefined) return known;
  const key = ed25519.getPublicKey(sha256(ascii(`party ${name}`)));
  const made = { publicKey: toHex(key), peerId: toPeerId(key) };
  parties.set(name, made);
  return made;
}

/** The party with this id, if a test has named it. */
export const partyOf = (peerId: PeerId): Party | undefined =>
  [...parties.values()].find((known) => known.peerId === peerId);

/** Buckets that never run dry, for tests of what comes after them. */
export const UNLIMITED: AdmissionLimits = {
  ip: { burst: 1e9, perSecond: 1e9 },
  group: { burst: 1e9, perSecond: 1e9 },
  global: { burst: 1e9, perSecond: 1e9 },
  halfOpenMax: HALF_OPEN_MAX,
  halfOpenPerGroupMax: HALF_OPEN_MAX,
};

export function configOf(name: string, changes: Partial<Config> = {}): Config {
  return {
    ...party(name),
    chainId: CHAIN_ID,
    userAgent: "pollen/test",
    listen: null,
    peersMax: PEERS_MAX_DEFAULT,
    peersMin: 0,
    allowPrivateCandidates: false,
    admission: UNLIMITED,
    chain: CHAIN,
    capacity: TRANSACTION_CAPACITY_DEFAULT,
    produces: false,
    workFee: null,
    ...changes,
  };
}

/** A node and its clock. Everything it is told goes through `step`. */
export interface TestNode {
  readonly state: State;
  readonly nowMs: number;
  readonly feed: (input: Input) => Result;
  /** Time passes; what is due happens when it is due. @returns all effects of it */
  readonly pass: (ms: number) => readonly Effect[];
  /** The clock moves and the node sleeps through it: the next input finds everything overdue. */
  readonly freeze: (ms: number) => void;
  /** Another node with the same clock, at this state. */
  readonly at: (state: State) => TestNode;
}

/**
 * @param look is shown every input with what came of it
 * @param prepare changes the state the node begins with
 */
export const testNode = (
  changes: Partial<Config> = {},
  name = "us",
  look: (input: Input, result: Result) => void = () => {},
  prepare: (state: State) => State = (state) => state,
): TestNode =>
  nodeAt(prepare(initialState(configOf(name, changes), "5e".repeat(32), START_MS)), START_MS, look);

function nodeAt(start: State, startMs: number, look: (input: Input, result: Result) => void): TestNode {
  let [state, nowMs] = [start, startMs];
  const feed = (input: Input): Result => {
    const result = step(state, input, nowMs);
    state = result.state;
    look(input, result);
    return result;
  };
  return {
    get state() {
      return state;
    },
    get nowMs() {
      return nowMs;
    },
    feed,
    pass: (ms) => {
      const [endMs, effects] = [nowMs + ms, [] as Effect[]];
      let ticks = 0;
      for (
        let dueMs = nextDeadline(state);
        dueMs !== undefined && dueMs <= endMs;
        dueMs = nextDeadline(state)
      ) {
        ticks = dueMs > nowMs ? 0 : ticks + 1;
        assert(ticks < TICKS_AT_ONCE_MAX, "what is due comes to an end");
        nowMs = Math.max(nowMs, dueMs);
        effects.push(...feed({ type: "tick" }).effects);
      }
      nowMs = endMs;
      return effects;
    },
    freeze: (ms) => {
      nowMs += ms;
    },
    at: (other) => nodeAt(other, nowMs, look),
  };
}
/** An action as a rule would propose it, where no input alone leads there. */
export const cause = (node: TestNode, action: Action): Result => node.feed(action as unknown as Input);

/** Far more deadlines than any state has. A rule that sets one anew and in the past has no end. */
const TICKS_AT_ONCE_MAX = 10_000;

let requests = 0;
export const freshRequestId = (): RequestId => ++requests as RequestId;
