import type { BlockVerdict } from "../../core/chain.ts";

/** What items and blocks have in common when they are not taken. */
export type Refusal = Exclude<BlockVerdict, { readonly tag: "valid" }>;

export const VALID = { tag: "valid" } as const;

/** It fails a check that needs neither the clock nor the tip: somebody is to blame. */
export const invalid = (detail: string): Refusal & { readonly tag: "invalid" } => ({
  tag: "invalid",
  detail,
});

/** It depends on the clock or the tip: nobody is to blame. */
export const notNow = (detail: string): Refusal & { readonly tag: "notNow" } => ({ tag: "notNow", detail });

/** The outcome of checks that need nothing but the thing itself. */
export type Checked<T> = { readonly tag: "sound"; readonly value: T } | ReturnType<typeof invalid>;

export const sound = <T>(value: T): Checked<T> => ({ tag: "sound", value });
