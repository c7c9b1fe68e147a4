import type { Action, Input, Tick } from "../core/actions.ts";
import { clearDeadline, firstDeadline } from "../core/deadlines.ts";
import type { Effect } from "../core/effects.ts";
import { createStep, type StepResult } from "../core/kernel.ts";
import type { State } from "../core/state.ts";
import { admission } from "./admission.ts";
import { attempts } from "./attempts.ts";
import { bans } from "./bans.ts";
import { book } from "./book/rules.ts";
import { bestTip } from "./channels/best-tip.ts";
import { control } from "./channels/control.ts";
import { permits } from "./channels/permits.ts";
import { rpc } from "./channels/rpc.ts";
import { streamingRpc } from "./channels/streaming-rpc.ts";
import { commands } from "./commands.ts";
import { connection } from "./connection.ts";
import { dialing } from "./dialing.ts";
import { fetch } from "./fetch.ts";
import { pools } from "./pools.ts";
import { reconcile } from "./reconcile.ts";
import { resume } from "./resume.ts";
import type { Rules } from "./rules.ts";
import { serving } from "./serve.ts";
import { signaling } from "./signaling/rules.ts";
import { signals } from "./signals.ts";
import { streamsFetch } from "./streams/fetch.ts";
import { sync } from "./sync/rules.ts";
import { work } from "./work.ts";

const tick: Rules<Tick> = {
  tick: {
    enabled: () => true,
    reduce: (draft, _tick, { propose }) => {
      for (;;) {
        const due = firstDeadline(draft.deadlines);
        if (due === undefined || due.atMs > draft.timeMs) return;
        draft.deadlines = clearDeadline(draft.deadlines, due.name);
        propose(due.action);
      }
    },
  },
};

/** Every rule of the protocol, one entry per action: the compiler knows if one is missing. */
const rules: Rules<Action> = {
  ...tick,
  ...signals,
  ...dialing,
  ...admission,
  ...attempts,
  ...connection,
  ...signaling,
  ...book,
  ...control,
  ...bestTip,
  ...sync,
  ...permits,
  ...pools,
  ...resume,
  ...fetch,
  ...rpc,
  ...serving,
  ...reconcile,
  ...work,
  ...streamingRpc,
  ...streamsFetch,
  ...commands,
  ...bans,
};

/** The types of all actions, for checks that each occurs. */
export const ACTION_TYPES = Object.keys(rules) as readonly Action["type"][];

/** Applies one input to a node: the whole behaviour of the protocol, pure and synchronous. */
export const step: (state: State, input: Input, timeMs: number) => StepResult<State, Action, Effect> =
  createStep<State, Input, Action, Effect>(rules);

/** When the next `tick` is due, ms since the epoch; undefined while nothing is. */
export const nextDeadline = (state: State): number | undefined => firstDeadline(state.deadlines)?.atMs;
