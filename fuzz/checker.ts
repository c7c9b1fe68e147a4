import type { AttemptId, Hash } from "../core/ids.ts";
import type { State } from "../core/state.ts";
import { brokenInvariants } from "../reducers/invariants.ts";
import {
  book,
  type Conversation,
  checkAnswers,
  checkLate,
  checkServed,
  checkSources,
  freshConversation,
} from "./conversation.ts";
import { createFairness } from "./fairness/fairness.ts";
import {
  checkBatches,
  checkExpiry,
  checkFetchProgress,
  checkGivenUp,
  checkNoAccusation,
  checkNothingLost,
  checkPeerBytes,
  checkPlain,
  checkProduced,
  checkRefusals,
  checkTip,
  checkWork,
  type Problems,
} from "./invariants.ts";
import { createMail, mailOf } from "./mail.ts";
import { createPace } from "./pace.ts";
import type { SimNode } from "./sim-node.ts";
import type { Judgement } from "./sim-parts.ts";
import type { ClusterObserver } from "./simulator.ts";
import { readWire, type WireEvent } from "./wire.ts";

/** Watches every step of every node and every message; throws at the first that breaks a law. */
export interface Checker extends ClusterObserver {
  /** Bodies that arrived, by node and hash. */
  readonly bodies: ReadonlyMap<string, number>;
  /** Action types and disconnect reasons, by how often they occurred (P10). */
  readonly histogram: ReadonlyMap<string, number>;
}

const PLAIN_EVERY = 499;
/** Looked at when time passes, for every live peer. */
const TALK_LAWS = [checkAnswers, checkLate, checkServed, checkSources];

/** @param isLiar nodes of which nothing is expected, and whom others may accuse */
export function createChecker(
  judgedBy: (node: number) => ReadonlyMap<Hash, Judgement>,
  isLiar: (node: number) => boolean = () => false,
): Checker {
  const talks = new Map<string, Conversation>();
  const bodies = new Map<string, number>();
  const histogram = new Map<string, number>();
  const nodes = new Map<string, SimNode>();
  const liars = new Set<string>();
  const mail = createMail();
  const fairness = createFairness();
  const pace = createPace();
  let before: State | null = null;
  let steps = 0;

  const count = (counts: Map<string, number>, name: string): void => {
    counts.set(name, (counts.get(name) ?? 0) + 1);
  };

  function talkOf(node: { readonly index: number; readonly life: number }, attemptId: number): Conversation {
    const key = keyOf(node, attemptId);
    const known = talks.get(key) ?? freshConversation();
    talks.set(key, known);
    return known;
  }

  function hear(node: SimNode, attemptId: AttemptId, event: WireEvent): Problems {
    const { state, index, life } = node;
    const peerId = state.attempts.get(attemptId)?.peerId ?? null;
    const body = (hash: Hash): void => count(bodies, `${index}.${life} ${hash}`);
    const talk = talkOf(node, attemptId);
    const unfair = fairness.hear(node, attemptId, event, talk);
    return [...unfair, ...book(talk, event, { state, judged: judgedBy(index), peerId, body })];
  }

  return {
    bodies,
    histogram,
    before: (node, input) => {
      nodes.set(`${node.index}.${node.life}`, node);
      before = node.state;
      if (isLiar(node.index)) return;
      fail(node, fairness.judge(node));
      if (input.type !== "event/message") return;
      if (liars.has(keyOf(node, input.attemptId))) return;
      if (!mail.take(mailOf(node.state, input.attemptId, input.channel, "in"), input.bytes))
        fail(node, [`received on ${input.channel} what nobody has sent, or twice`]);
      const wire = readWire(input.channel, input.bytes);
      if (typeof wire === "string") fail(node, [`received undecodable bytes: ${wire}`]);
      else fail(node, hear(node, input.attemptId, { way: "received", wire }));
    },
    sent: (from, attemptId, to, channel, bytes) => {
      const node = nodes.get(`${from.index}.${from.life}`);
      if (node === undefined || isLiar(from.index)) return;
      if (isLiar(to.index)) {
        liars.add(keyOf(from, attemptId));
        fairness.forget(from, attemptId);
        return;
      }
      mail.put(mailOf(node.state, attemptId, channel, "out"), bytes);
      const wire = readWire(channel, bytes);
      if (typeof wire === "string") fail(node, [`sent undecodable bytes: ${wire}`]);
      else fail(node, hear(node, attemptId, { way: "sent", wire }));
    },
    after: (node, input, result) => {
      const { state, actions } = result;
      for (const action of actions) {
        count(histogram, action.type);
        if (action.type === "connection/ended") count(histogram, `${action.by} ${action.reason}`);
      }
      if (isLiar(node.index)) return;
      fail(
        node,
        checkNoAccusation(actions, (attemptId) => liars.has(keyOf(node, attemptId))),
      );
      fail(node, [...brokenInvariants(state), ...checkFetchProgress(state), ...checkWork(state)]);
      if (input.type === "tick") {
        fail(node, checkExpiry(state));
        for (const { peerId, live } of state.peers.values())
          if (live !== null && !liars.has(keyOf(node, live.attemptId))) {
            const talk = talkOf(node, live.attemptId);
            fail(
              node,
              TALK_LAWS.flatMap((law) => law(talk, state, peerId, before?.timeMs ?? state.timeMs)),
            );
          }
      }
      fail(node, checkRefusals(state, result.effects));
      fail(node, pace(`${node.index}.${node.life}`, state.timeMs, result.effects));
      if (before !== null) {
        fairness.after(node, before, input, result);
        fail(node, checkNothingLost(before, state, actions));
        fail(node, checkTip(before, state));
        fail(node, [
          ...checkGivenUp(before, state),
          ...checkBatches(before, state),
          ...checkProduced(before, state),
        ]);
      }
      if (++steps % PLAIN_EVERY === 0) fail(node, [...checkPlain(state), ...checkPeerBytes(state)]);
    },
  };
}

const keyOf = (
  { index, life }: { readonly index: number; readonly life: number },
  attemptId: number,
): string => `${index}.${life}.${attemptId}`;

function fail(node: SimNode, problems: Problems): void {
  if (problems.length > 0)
    throw new Error(`node ${node.index} at ${node.state.timeMs}: ${problems.join("; ")}`);
}
