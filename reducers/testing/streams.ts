import type { Action, Input } from "../../core/actions.ts";
import { fromHex, uintBytes } from "../../core/bytes.ts";
import type { Manifest, StreamingMessage } from "../../core/channels/streaming-rpc.ts";
import type { ChannelMessage } from "../../core/channels/table.ts";
import { setDeadline } from "../../core/deadlines.ts";
import type { Effect } from "../../core/effects.ts";
import { hashHex } from "../../core/hash.ts";
import type { AttemptId, Hash } from "../../core/ids.ts";
import { CHUNK_BYTES } from "../../core/limits.ts";
import { bytes32 } from "./chain.ts";
import { control, say } from "./messages.ts";
import type { TestNode } from "./node.ts";
import { type Result, sentOn } from "./results.ts";

// Streams (7.8). The core never looks at a chunk: what is in it is the service's to judge, so any bytes will do.

export const streaming = (message: StreamingMessage): ChannelMessage => ({
  channel: "streaming-rpc",
  message,
});

export const sayStream = (node: TestNode, attemptId: AttemptId, message: StreamingMessage): Result =>
  say(node, attemptId, streaming(message));

/** What was said on the streaming channel of a connection. */
export const streamedTo = (effects: readonly Effect[], attemptId: AttemptId): readonly StreamingMessage[] =>
  sentOn(effects, attemptId).flatMap((sent) => (sent.channel === "streaming-rpc" ? [sent.message] : []));

export interface Snapshot {
  readonly root: Hash;
  readonly manifest: Manifest;
  readonly chunks: number;
}

/** The name of so many chunks that nobody ever made. */
export function snapshotOf(name: string, chunks: number): Snapshot {
  const manifest = { size: BigInt(chunks * CHUNK_BYTES), merkleRoot: bytes32(name) };
  return { root: rootOf(manifest), manifest, chunks };
}

export const rootOf = ({ size, merkleRoot }: Manifest): Hash =>
  hashHex("pollen/stream/1", uintBytes(size, 8), fromHex(merkleRoot)) as Hash;

export const chunk = (id: number, index: number, byte = index % 256): StreamingMessage => ({
  tag: "chunk",
  id,
  index,
  data: Uint8Array.of(byte),
  proof: [],
});

/**
 * No input starts a download, only the rules of sync: here it is a rule that is due now.
 * @returns the node it happens to; the one given stays as it was
 */
export function proposing(
  node: TestNode,
  action: Action,
): { readonly node: TestNode; readonly result: Result } {
  const deadline = { name: "test", atMs: node.nowMs, action };
  const other = node.at({ ...node.state, deadlines: setDeadline(node.state.deadlines, deadline) });
  return { node: other, result: other.feed({ type: "tick" }) };
}

/** The service has checked a chunk. */
export const stored = (
  attemptId: AttemptId,
  streamId: number,
  root: Hash,
  index: number,
  outcome: "stored" | "invalid" | "failed" = "stored",
): Input => ({ type: "event/chunkStored", attemptId, streamId, root, index, outcome });

/** Time passes for peers that answer every ping. */
export function keptAlive(
  node: TestNode,
  peers: readonly { readonly attemptId: AttemptId }[],
  ms: number,
): readonly Effect[] {
  const effects: Effect[] = [];
  for (const endMs = node.nowMs + ms; node.nowMs < endMs; ) {
    const passed = node.pass(Math.min(1_000, endMs - node.nowMs));
    effects.push(...passed);
    for (const { attemptId } of peers) {
      for (const { channel, message } of sentOn(passed, attemptId)) {
        if (channel !== "control" || message.tag !== "ping") continue;
        effects.push(...say(node, attemptId, control({ tag: "pong", n: message.n })).effects);
      }
    }
  }
  return effects;
}
