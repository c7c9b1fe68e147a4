import { describe, expect, test } from "vitest";
import { AssertionError } from "./assert.ts";
import { createStep, type KernelState } from "./kernel.ts";
import { DRAIN_ACTIONS_MAX } from "./limits.ts";

interface Numbers extends KernelState {
  readonly log: readonly string[];
  readonly isOpen: boolean;
}

/** `then` says what follows: `dispatch name` or `propose name`; `close` makes every later action disabled. */
type Act = {
  readonly type: "act";
  readonly name: string;
  readonly then?: readonly (readonly [Follow, Act])[];
};
type Follow = "dispatch" | "propose";
type Say = { readonly type: "effect/say"; readonly text: string };

const START: Numbers = { timeMs: 100, dropped: {}, log: [], isOpen: true };

const act = (name: string, ...then: readonly (readonly [Follow, Act])[]): Act => ({
  type: "act",
  name,
  then,
});

const step = createStep<Numbers, Act, Act, Say>({
  act: {
    enabled: (state) => state.isOpen,
    reduce: (draft, { name, then = [] }, context) => {
      if (!name.startsWith("loop")) draft.log = [...draft.log, `${name}@${context.time}`];
      if (name === "close") draft.isOpen = false;
      if (name === "loop") context.dispatch(act("loop"));
      for (const [follow, next] of then) context[follow](next);
      context.effect({ type: "effect/say", text: name });
    },
  },
});

const namesOf = (state: Numbers): readonly string[] => state.log.map((entry) => entry.split("@")[0] ?? "");

describe("kernel", () => {
  test("follow-ups come first in first out, after the action that caused them", () => {
    const input = act(
      "a",
      ["dispatch", act("b", ["propose", act("d")])],
      ["propose", act("c", ["dispatch", act("e")])],
    );
    const { state, actions, effects } = step(START, input, 100);
    expect(namesOf(state)).toEqual(["a", "b", "c", "d", "e"]);
    expect(actions.map(({ name }) => name)).toEqual(["a", "b", "c", "d", "e"]);
    expect(effects.map(({ text }) => text)).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("a proposed action that is not enabled is left out and counted nowhere", () => {
    const { state, actions } = step(START, act("close", ["propose", act("late")]), 100);
    expect(actions.map(({ name }) => name)).toEqual(["close"]);
    expect(state.dropped).toEqual({});
  });

  test("a dispatched action that is not enabled is a bug", () => {
    expect(() => step(START, act("close", ["dispatch", act("late")]), 100)).toThrow(AssertionError);
    expect(() => step(START, act("close", ["dispatch", act("late")]), 100)).toThrow(
      "a dispatched act is enabled",
    );
  });

  test("an input that is not enabled changes nothing but its counter and the time", () => {
    const closed = { ...START, isOpen: false };
    const once = step(closed, act("x"), 105);
    expect(once).toEqual({
      state: { ...closed, timeMs: 105, dropped: { act: 1 } },
      actions: [],
      effects: [],
    });
    expect(step(once.state, act("x"), 105).state.dropped).toEqual({ act: 2 });
  });

  test("time never goes back, and all follow-ups of an input happen at its time", () => {
    const later = step(START, act("a", ["dispatch", act("b")]), 250);
    expect(later.state.log).toEqual(["a@250", "b@250"]);
    const earlier = step(later.state, act("c"), 90);
    expect(earlier.state.timeMs).toBe(250);
    expect(earlier.state.log.at(-1)).toBe("c@250");
  });

  test("a drain that does not end is a bug, found after a bounded number of actions", () => {
    expect(() => step(START, act("loop"), 100)).toThrow("an input causes a bounded number of actions");
    const many = Array.from({ length: DRAIN_ACTIONS_MAX - 1 }, () => ["propose", act("loop once")] as const);
    expect(step(START, act("first", ...many), 100).actions).toHaveLength(DRAIN_ACTIONS_MAX);
  });

  test("the same input on the same state gives the same result, and the state it was given stays as it was", () => {
    const input = act("a", ["dispatch", act("b")]);
    const before = structuredClone(START);
    expect(step(START, input, 120)).toEqual(step(START, input, 120));
    expect(START).toEqual(before);
  });

  test("a reducer that throws leaves the caller with the state it had", () => {
    const before = structuredClone(START);
    expect(() => step(START, act("a", ["dispatch", act("close", ["dispatch", act("b")])]), 200)).toThrow();
    expect(START).toEqual(before);
  });
});
