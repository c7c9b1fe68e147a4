import type { Hex } from "./bytes.ts";

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** The libp2p peer id of an ed25519 key: `12D3KooW...`. Parsed once at the border by identity.ts. */
export type PeerId = Brand<string, "PeerId">;

/**
 * Local number of one attempt to connect, incoming or outgoing, from its first byte to the end of its
 * connection. Never reused, so an event of a dead attempt can never touch a live one (3.3).
 */
export type AttemptId = Brand<number, "AttemptId">;

/** SHA-256 names of items and blocks: 64 hexadecimal digits. */
export type Hash = Brand<Hex, "Hash">;

/** A request of the service (an HTTP request or a command of the operator) that waits for one answer. */
export type RequestId = Brand<number, "RequestId">;

/** A batch of items under verification. */
export type BatchId = Brand<number, "BatchId">;

/** A proof that the chain wants made, named by its hash. */
export type JobId = Brand<Hex, "JobId">;

/** Our question to the chain whether headers are sound. */
export type CheckId = Brand<number, "CheckId">;
