import { describe, expect, test } from "vitest";
import type { ChannelMessage } from "../../core/channels/table.ts";
import type { AttemptId, Hash, PeerId } from "../../core/ids.ts";
import type { State } from "../../core/state.ts";
import { book, type Conversation, freshConversation } from "../conversation.ts";
import type { Problems } from "../invariants.ts";
import { identityOf } from "../sim-identity.ts";
import type { WireEvent } from "../wire.ts";
import { createFairness, type Fairness } from "./fairness.ts";
import { HUB, star } from "./star.ts";

/** A peer of the hub, and what the hub and it have said to each other. */
interface Guest {
  readonly peerId: PeerId;
  readonly attemptId: AttemptId;
  readonly talk: Conversation;
}

/** A hub with four peers that nobody says anything to any more, and a fairness that has heard nothing yet. */
function quietHub() {
  const { state } = star(5, {}).node(HUB);
  const guests = [...state.peers.values()].flatMap(({ peerId, live }): readonly Guest[] =>
    live === null ? [] : [{ peerId, attemptId: live.attemptId, talk: freshConversation() }],
  );
  return { fairness: createFairness(), state, guests };
}

function says(
  { attemptId, talk }: Guest,
  fairness: Fairness,
  state: State,
  way: WireEvent["way"],
  wire: ChannelMessage,
): Problems {
  const problems = fairness.hear({ index: HUB, life: 0, state }, attemptId, { way, wire }, talk);
  book(talk, { way, wire }, { state, judged: new Map(), peerId: null, body: () => undefined });
  return problems;
}

const ancestry = (id: number): ChannelMessage => ({
  channel: "rpc",
  message: { tag: "request", id, body: { tag: "ancestry", hash: "00".repeat(32) as Hash, count: 1 } },
});

const refusal = (id: number, tag: "busy" | "notFound"): ChannelMessage => ({
  channel: "rpc",
  message: { tag: "response", id, body: { tag } },
});

describe("P30: a server of one answer at a time", () => {
  /** Everybody asks again as soon as he was answered. */
  function serveFor(answers: number, choose: (waiting: readonly Guest[]) => Guest | undefined): Problems {
    const { fairness, state, guests } = quietHub();
    const ids = new Map(guests.map((guest) => [guest, 0]));
    // In the order in which they asked.
    let waiting = guests;
    for (const guest of guests) says(guest, fairness, state, "received", ancestry(0));
    const problems: string[] = [];
    for (let answer = 0; answer < answers; answer++) {
      const guest = choose(waiting);
      if (guest === undefined) throw new Error("somebody waits");
      const id = ids.get(guest) ?? 0;
      says(guest, fairness, state, "sent", refusal(id, "notFound"));
      problems.push(...fairness.judge({ index: HUB, life: 0, state }));
      says(guest, fairness, state, "received", ancestry(id + 1));
      ids.set(guest, id + 1);
      waiting = [...waiting.filter((other) => other !== guest), guest];
    }
    return problems;
  }

  test("may take turns", () => {
    expect(serveFor(40, ([first]) => first)).toEqual([]);
  });

  test("may not answer the greatest peer first", () => {
    const greatest = (waiting: readonly Guest[]): Guest | undefined =>
      [...waiting].sort((a, b) => (a.peerId < b.peerId ? 1 : -1))[0];
    expect(serveFor(40, greatest).length).toBeGreaterThan(0);
  });

  test("may not answer the last one first", () => {
    expect(serveFor(40, (waiting) => waiting.at(-1)).length).toBeGreaterThan(0);
  });

  test("may not pass one of them over for a dozen turns", () => {
    const victimId = identityOf("node 2").peerId;
    let turn = 0;
    const lazy = (waiting: readonly Guest[]): Guest | undefined =>
      waiting.find(({ peerId }) => peerId !== victimId || ++turn % 12 === 0);
    expect(serveFor(60, lazy).length).toBeGreaterThan(0);
  });

  test("may not say Busy to whom has asked little", () => {
    const { fairness, state, guests } = quietHub();
    const [guest] = guests;
    if (guest === undefined) throw new Error("there are guests");
    says(guest, fairness, state, "received", ancestry(0));
    expect(says(guest, fairness, state, "sent", refusal(0, "busy"))[0]).toContain("is busy");
  });
});
