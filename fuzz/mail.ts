import { equalBytes } from "../core/bytes.ts";
import type { AttemptId } from "../core/ids.ts";
import type { State } from "../core/state.ts";

/** From whom to whom. */
export function mailOf(
  { attempts, config }: State,
  attemptId: AttemptId,
  channel: string,
  way: "in" | "out",
): string {
  const [us, them] = [config.peerId, attempts.get(attemptId)?.peerId ?? "somebody"];
  return way === "in" ? `${them} ${us} ${channel}` : `${us} ${them} ${channel}`;
}

/** Conservation of messages: what arrives was sent, and each one arrives once at most. */
export function createMail() {
  const underway = new Map<string, Uint8Array[]>();
  return {
    put: (name: string, bytes: Uint8Array): void => {
      const sent = underway.get(name) ?? [];
      underway.set(name, sent);
      sent.push(bytes);
    },
    take: (name: string, bytes: Uint8Array): boolean => {
      const sent = underway.get(name) ?? [];
      const at = sent.findIndex((other) => equalBytes(other, bytes));
      if (at >= 0) sent.splice(at, 1);
      return at >= 0;
    },
  };
}
