import type { Action, Command, Event, Input } from "../core/actions.ts";
import type { Effect } from "../core/effects.ts";
import type { RequestId } from "../core/ids.ts";
import type { StepResult } from "../core/kernel.ts";
import type { CommandResult, Services } from "../core/services.ts";
import { type Config, initialState, type State } from "../core/state.ts";
import { runEffect } from "../effects/run.ts";
import { nextDeadline, step } from "../reducers/step.ts";
import type { Clock } from "./sim-clock.ts";
import type { Host } from "./sim-host.ts";

type Stepped = StepResult<State, Action, Effect>;

/** What somebody who watches a process sees: each input before it is applied, and what it did. */
export interface NodeObserver {
  readonly before: (node: SimNode, input: Input) => void;
  readonly after: (node: SimNode, input: Input, result: Stepped) => void;
}

/** One process of a node: the production store and effects over simulated services. */
export interface SimNode extends Host {
  readonly state: State;
  readonly answers: ReadonlyMap<RequestId, CommandResult>;
  /** Inputs applied so far. */
  readonly inputs: number;
  readonly command: (make: (requestId: RequestId) => Command) => RequestId;
  readonly kill: () => void;
  /** The time as this process knows it. */
  readonly nowMs: () => number;
  /** Its clock leaps ahead, as after a sleep of the whole machine. */
  readonly leap: (ms: number) => void;
  /** It dies after so many more inputs, when so many of the effects of the last one have been run. */
  readonly crashAfter: (inputs: number, effects: number, crashed: () => void) => void;
  /** A stopped process takes nothing in; what happened meanwhile comes afterwards, late. */
  readonly freeze: () => void;
  readonly thaw: () => void;
}

export interface NodeOptions {
  readonly index: number;
  readonly life: number;
  readonly address: string;
  readonly config: Config;
  readonly seed: string;
  readonly clock: Clock;
  /** How far its clock is ahead of that of the simulation, ms. */
  readonly skewMs?: number;
  readonly observer: NodeObserver;
  readonly services: (host: Host, answer: (id: RequestId, result: CommandResult) => void) => Services;
}

export function createNode(options: NodeOptions): SimNode {
  const { clock, observer, config, seed } = options;
  let { skewMs = 0 } = options;
  const nowMs = (): number => clock.nowMs + skewMs;
  let state = initialState(config, seed, nowMs());
  let [isAlive, isFrozen, inputs, requests] = [true, false, 0, 0];
  let armedMs = Number.POSITIVE_INFINITY;
  let late: Input[] = [];
  let crash: { inputs: number; readonly effects: number; readonly crashed: () => void } | null = null;
  const answers = new Map<RequestId, CommandResult>();

  function apply(input: Input): void {
    if (!isAlive) return;
    if (isFrozen) {
      late.push(input);
      return;
    }
    observer.before(node, input);
    const result = step(state, input, nowMs());
    state = result.state;
    inputs += 1;
    observer.after(node, input, result);
    if (crash !== null && --crash.inputs <= 0) {
      for (const effect of result.effects.slice(0, crash.effects)) runEffect(effect, services);
      isAlive = false;
      crash.crashed();
      return;
    }
    for (const effect of result.effects) runEffect(effect, services);
    arm();
  }

  /** One timer, armed for the next deadline or earlier: a deadline that moved back is found when it fires. */
  function arm(): void {
    const dueMs = nextDeadline(state);
    if (dueMs === undefined || dueMs >= armedMs) return;
    armedMs = dueMs;
    clock.after(dueMs - nowMs(), () => fire(dueMs), "background");
  }

  function fire(firedMs: number): void {
    if (firedMs !== armedMs) return;
    armedMs = Number.POSITIVE_INFINITY;
    const dueMs = nextDeadline(state);
    if (dueMs !== undefined && dueMs <= nowMs()) apply({ type: "tick" });
    else arm();
  }

  const node: SimNode = {
    index: options.index,
    life: options.life,
    address: options.address,
    answers,
    get state() {
      return state;
    },
    get inputs() {
      return inputs;
    },
    give: (event: Event) => apply(event),
    isAlive: () => isAlive,
    isFrozen: () => isFrozen,
    command: (make) => {
      const requestId = ++requests as RequestId;
      const command = make(requestId);
      clock.after(0, () => apply(command));
      return requestId;
    },
    kill: () => {
      isAlive = false;
    },
    nowMs,
    leap: (ms) => {
      skewMs += ms;
      armedMs = Number.POSITIVE_INFINITY;
      arm();
    },
    crashAfter: (inputsLeft, effects, crashed) => {
      crash = { inputs: inputsLeft, effects, crashed };
    },
    freeze: () => {
      isFrozen = true;
    },
    thaw: () => {
      isFrozen = false;
      const missed = late;
      late = [];
      for (const input of missed) apply(input);
      arm();
    },
  };
  const services = options.services(node, (id, result) => answers.set(id, result));
  return node;
}
