import type { Action } from "../../core/actions.ts";
import { assert } from "../../core/assert.ts";
import type { ChannelMessage } from "../../core/channels/table.ts";
import type { Effect } from "../../core/effects.ts";
import type { AttemptId } from "../../core/ids.ts";
import type { StepResult } from "../../core/kernel.ts";
import { REASONS, type Reason } from "../../core/reasons.ts";
import type { State } from "../../core/state.ts";

// What came of an input.

export type Result = StepResult<State, Action, Effect>;

export function effectsOf<Type extends Effect["type"]>(
  effects: readonly Effect[],
  type: Type,
): readonly Extract<Effect, { type: Type }>[] {
  return effects.filter((effect): effect is Extract<Effect, { type: Type }> => effect.type === type);
}

/** The one effect of its type. */
export function effectOf<Type extends Effect["type"]>(
  effects: readonly Effect[],
  type: Type,
): Extract<Effect, { type: Type }> {
  const [only, ...others] = effectsOf(effects, type);
  assert(only !== undefined && others.length === 0, `there is one ${type} among ${typesOf(effects)}`);
  return only;
}

const typesOf = (effects: readonly Effect[]): string => effects.map(({ type }) => type).join(", ");

/** What was sent on a connection. */
export const sentOn = (effects: readonly Effect[], attemptId: AttemptId): readonly ChannelMessage[] =>
  effectsOf(effects, "effect/send")
    .filter((effect) => effect.attemptId === attemptId)
    .map(({ channel, message }) => ({ channel, message }) as ChannelMessage);

/** `reason banMs` of each Goodbye that was sent. */
export const goodbyes = (effects: readonly Effect[]): readonly string[] =>
  effectsOf(effects, "effect/send").flatMap(({ message }) =>
    message.tag === "goodbye" ? [`${REASONS[message.reason]} ${message.banMs}`] : [],
  );

/** `by reason` of each live peer that ended. */
export const endings = (actions: readonly Action[]): readonly string[] =>
  actions.flatMap((action) => (action.type === "connection/ended" ? [`${action.by} ${action.reason}`] : []));

/** How a peer ended by the last result: `reason`, or undefined. */
export const endReason = (result: Result): Reason | undefined =>
  result.actions.find((action) => action.type === "connection/ended")?.reason;

/** The rpc requests among the effects, of one connection. */
export const requestsTo = (effects: readonly Effect[], attemptId: AttemptId) =>
  sentOn(effects, attemptId).flatMap(({ channel, message }) =>
    channel === "rpc" && message.tag === "request" ? [message] : [],
  );
