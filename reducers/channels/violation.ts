import type { ChannelName } from "../../core/channels/table.ts";
import type { AttemptId } from "../../core/ids.ts";
import type { Reason } from "../../core/reasons.ts";
import type { Context } from "../rules.ts";

/** What a message is against the rules for (section 5). */
export interface Violation {
  readonly reason: Reason;
  readonly detail: string;
}

/** Ends the connection on which it came. */
export function accuse(
  attemptId: AttemptId,
  channel: ChannelName,
  { reason, detail }: Violation,
  { propose }: Context,
): void {
  propose({ type: "connection/disconnect", attemptId, reason, detail: `${channel}: ${detail}` });
}
