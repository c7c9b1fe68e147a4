import type { Action } from "../core/actions.ts";
import type { Effect } from "../core/effects.ts";
import type { Draft, Context as KernelContext, RuleTable } from "../core/kernel.ts";
import type { State } from "../core/state.ts";

/** Enabling condition and reducer of each action of `Some`, side by side. */
export type Rules<Some extends Action> = RuleTable<State, Some, Action, Effect>;

export type StateDraft = Draft<State>;

export type Context = KernelContext<Action, Effect>;
