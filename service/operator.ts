import type { Command } from "../core/actions.ts";
import type { RequestId } from "../core/ids.ts";
import type { CommandResult, Operator } from "../core/services.ts";

type WithoutRequest<C> = C extends { readonly requestId: RequestId } ? Omit<C, "requestId"> : never;
/** A command of the operator without the number that the node gives it. */
export type CommandOf = WithoutRequest<Command>;

export interface NodeOperator extends Operator {
  /** Runs a command. Answered even when the node has stopped. */
  readonly command: (command: CommandOf) => Promise<CommandResult>;
  /** What was not answered is answered now: the node has stopped. Idempotent. */
  readonly close: () => void;
}

/** Brings the answers of the core to those who gave the commands. */
export function createOperator(
  nextRequestId: () => RequestId,
  emit: (command: Command) => void,
): NodeOperator {
  const answers = new Map<RequestId, (result: CommandResult) => void>();
  let isClosed = false;
  return {
    answer: (requestId, result) => {
      answers.get(requestId)?.(result);
      answers.delete(requestId);
    },
    command: (given) =>
      new Promise((resolve) => {
        if (isClosed) {
          resolve(STOPPED);
          return;
        }
        const requestId = nextRequestId();
        answers.set(requestId, resolve);
        emit({ ...given, requestId });
      }),
    close: () => {
      isClosed = true;
      for (const answer of answers.values()) answer(STOPPED);
      answers.clear();
    },
  };
}

const STOPPED: CommandResult = { tag: "unavailable", detail: "the node has stopped" };
