import { assert } from "./assert.ts";
import { DRAIN_ACTIONS_MAX } from "./limits.ts";

/** A plain record of an action or an effect, told apart by `type`. */
interface Typed {
  readonly type: string;
}

/** What every state has for the kernel. */
export interface KernelState {
  /** The time of the current input, ms since the Unix epoch; never goes back. */
  readonly timeMs: number;
  /** Inputs whose enabling condition was false, by type. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** Fields of the state may be replaced, what is in them may not be mutated. */
export type Draft<S> = { -readonly [Field in keyof S]: S[Field] };

/** What a reducer may cause. */
export interface Context<Action extends Typed, Effect extends Typed> {
  readonly time: number;
  /**
   * A follow-up that must be enabled when its turn comes: else it is a bug. Only for what nothing that may be queued
   * before it can undo - a peer's connection may end in any action between, so what is about a peer is proposed.
   */
  readonly dispatch: (action: Action) => void;
  /** A follow-up that its enabling condition may decline. */
  readonly propose: (action: Action) => void;
  /** Asks the world for something. */
  readonly effect: (effect: Effect) => void;
}

/** The enabling condition states everything that the reducer relies on. */
export interface Rule<State, One, Action extends Typed, Effect extends Typed> {
  readonly enabled: (state: State, action: One) => boolean;
  readonly reduce: (draft: Draft<State>, action: One, context: Context<Action, Effect>) => void;
}

/** One rule per action of `Some`: a forgotten one does not compile. */
export type RuleTable<State, Some extends Typed, Action extends Typed, Effect extends Typed> = {
  readonly [Type in Some["type"]]: Rule<State, Extract<Some, { type: Type }>, Action, Effect>;
};

export interface StepResult<State, Action, Effect> {
  readonly state: State;
  /** The input and its follow-ups, in the order they were applied; empty if the input was dropped. */
  readonly actions: readonly Action[];
  /** In the order they were asked for. */
  readonly effects: readonly Effect[];
}

export type Step<State, Input, Action, Effect> = (
  state: State,
  input: Input,
  timeMs: number,
) => StepResult<State, Action, Effect>;

/**
 * The one way in which a state changes: an input is applied, then every follow-up it caused, first in first out
 * and at the same time, before the next input is looked at. Pure and synchronous.
 *
 * @throws AssertionError if a dispatched action is not enabled or the drain does not end: bugs, both
 */
export function createStep<
  State extends KernelState,
  Input extends Action,
  Action extends Typed,
  Effect extends Typed,
>(rules: RuleTable<State, Action, Action, Effect>): Step<State, Input, Action, Effect> {
  return (before, input, timeMs) => {
    // One copy is all that an input needs: reducers replace its fields, never reach into them, and nobody sees it
    // before the drain is over.
    const state: Draft<State> = { ...before };
    if (timeMs > before.timeMs) state.timeMs = timeMs;
    const effects: Effect[] = [];
    const actions: Action[] = [];
    const queue: { readonly action: Action; readonly origin: "input" | "dispatched" | "proposed" }[] = [
      { action: input, origin: "input" },
    ];
    const context: Context<Action, Effect> = {
      time: state.timeMs,
      // Methods: closures that are values are given their names by the loader, at each input.
      dispatch(action) {
        queue.push({ action, origin: "dispatched" });
      },
      propose(action) {
        queue.push({ action, origin: "proposed" });
      },
      effect(effect) {
        effects.push(effect);
      },
    };
    for (let next = 0; next < queue.length; next++) {
      assert(next < DRAIN_ACTIONS_MAX, "an input causes a bounded number of actions");
      const entry = queue[next];
      if (entry === undefined) break;
      const { action, origin } = entry;
      const rule = ruleOf(rules, action);
      if (rule.enabled(state, action)) {
        rule.reduce(state, action, context);
        actions.push(action);
      } else if (origin === "input") {
        const count = (state.dropped[action.type] ?? 0) + 1;
        state.dropped = { ...state.dropped, [action.type]: count };
      } else {
        assert(origin === "proposed", `a dispatched ${action.type} is enabled`);
      }
    }
    return { state, actions, effects };
  };
}

function ruleOf<State, Action extends Typed, Effect extends Typed>(
  rules: RuleTable<State, Action, Action, Effect>,
  action: Action,
): Rule<State, Action, Action, Effect> {
  // The table is total by its type; TypeScript cannot see that the key and the parameter belong together.
  return rules[action.type as keyof typeof rules] as unknown as Rule<State, Action, Action, Effect>;
}
