import type { Action, Input } from "../core/actions.ts";
import type { Effect } from "../core/effects.ts";
import type { StepResult } from "../core/kernel.ts";
import type { State } from "../core/state.ts";
import { nextDeadline, step } from "../reducers/step.ts";
import type { Clock } from "./clock.ts";

export interface StoreOptions {
  readonly initial: State;
  readonly clock: Clock;
  readonly runEffect: (effect: Effect) => void;
  /** After every step: the recorder, the log. */
  readonly observe: (input: Input, timeMs: number, result: StepResult<State, Action, Effect>) => void;
  /** A bug: an invariant of the core does not hold. The store has stopped; `observe` was not told of this input. */
  readonly onBug: (error: unknown, input: Input, timeMs: number) => void;
}

export interface Store {
  readonly state: () => State;
  readonly input: (input: Input) => void;
  /** No input is taken any more. */
  readonly close: () => void;
}

/** Longer timers overflow in Node.js and would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Holds the state, takes inputs one at a time, runs their effects, and arms the one timer of the core. */
export function createStore({ initial, clock, runEffect, observe, onBug }: StoreOptions): Store {
  let state = initial;
  let isOpen = true;
  let timer: NodeJS.Timeout | undefined;
  let armedMs: number | undefined;

  const input = (given: Input): void => {
    if (!isOpen) return;
    const timeMs = clock();
    let result: StepResult<State, Action, Effect>;
    try {
      result = step(state, given, timeMs);
    } catch (error) {
      close();
      onBug(error, given, timeMs);
      return;
    }
    state = result.state;
    observe(given, timeMs, result);
    for (const effect of result.effects) runEffect(effect);
    arm();
  };

  const arm = (): void => {
    const dueMs = nextDeadline(state);
    if (dueMs === armedMs) return;
    clearTimeout(timer);
    armedMs = dueMs;
    if (dueMs === undefined) return;
    timer = setTimeout(
      () => {
        armedMs = undefined;
        input({ type: "tick" });
      },
      Math.min(TIMER_MS_MAX, Math.max(0, dueMs - clock())),
    );
  };

  const close = (): void => {
    isOpen = false;
    clearTimeout(timer);
  };

  // A producer waits for its first slot, not for anybody.
  arm();
  return { state: () => state, input, close };
}
