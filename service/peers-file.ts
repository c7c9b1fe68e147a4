import type { Logger } from "pino";
import { z } from "zod";
import type { KeptEntry } from "../core/address-book.ts";
import { parsePeerId } from "../core/identity.ts";
import type { PeerId } from "../core/ids.ts";
import {
  ADDRESS_BYTES_MAX,
  ANCHORS_MAX,
  BOOK_NEW_BUCKETS,
  BOOK_NEW_SLOTS,
  BOOK_TRIED_BUCKETS,
  BOOK_TRIED_SLOTS,
} from "../core/limits.ts";
import { type DialAddress, formatMultiaddr, parseMultiaddr } from "../core/multiaddr.ts";
import type { State } from "../core/state.ts";
import { type KeptBook, keptBook } from "../reducers/book/kept.ts";
import { createStateFile, readKept, type StateFileOptions } from "./state-file.ts";

/** Addresses of others outlive the process: a node that knows where its peers are needs nobody to begin with. */

/** In the data directory. */
export const PEERS_FILE_NAME = "peers.json";

export interface PeersFile {
  /** After a step. */
  readonly observe: (state: State) => void;
  /** Never rejects. */
  readonly close: () => Promise<void>;
}

/**
 * The addresses that a former process has left. Without them the node starts too, and says so.
 * @throws StateFileError
 */
export const readPeers = (path: string, log: Logger): KeptBook | null =>
  readKept(path, { version: VERSION, schema: peersSchema }, log, "addresses");

/** @param initial its addresses are in the file already */
export function createPeersFile(
  path: string,
  initial: State,
  log: Logger,
  options: Partial<StateFileOptions> = {},
): PeersFile {
  const onError = (message: string): void => log.error({ detail: message }, "addresses cannot be saved");
  const file = createStateFile(path, { version: VERSION, onError, ...options });
  let last = initial;
  const save = (): void => file.save(() => toContent(keptBook(last)));
  return {
    observe: (state) => {
      // A node that stops parts with its peers one by one: who they were is what counts.
      if (state.stopping) return;
      const isOther = state.book.addresses !== last.book.addresses;
      last = state;
      if (isOther) save();
    },
    close: () => {
      if (last !== initial) save();
      return file.close();
    },
  };
}

const VERSION = 1;

const toContent = ({ addresses, anchors }: KeptBook) => ({
  anchors: anchors.map(formatMultiaddr),
  addresses: addresses.map(({ address, ...entry }) => ({ address: formatMultiaddr(address), ...entry })),
});

const addressSchema = z.string().transform((text, context): DialAddress => {
  const parsed = parseMultiaddr(text);
  if (parsed.tag === "address") return parsed.address;
  context.issues.push({ code: "custom", message: parsed.detail, input: text });
  return z.NEVER;
});

const peerIdSchema = z.string().transform((text, context): PeerId => {
  const peerId = parsePeerId(text);
  if (peerId !== undefined) return peerId;
  context.issues.push({ code: "custom", message: "is not a peer id", input: text });
  return z.NEVER;
});

const timeSchema = z.int().min(0);

const entrySchema: z.ZodType<KeptEntry> = z.strictObject({
  address: addressSchema,
  table: z.enum(["fresh", "tried"]),
  source: z.strictObject({ peerId: peerIdSchema, remoteAddress: z.string().max(ADDRESS_BYTES_MAX) }),
  successMs: timeSchema.nullable(),
  attemptMs: timeSchema.nullable(),
  failures: z.int().min(0),
  nextMs: timeSchema,
});

const ENTRIES_MAX = BOOK_NEW_BUCKETS * BOOK_NEW_SLOTS + BOOK_TRIED_BUCKETS * BOOK_TRIED_SLOTS;

const peersSchema: z.ZodType<KeptBook> = z.strictObject({
  anchors: z.array(addressSchema).max(ANCHORS_MAX),
  addresses: z.array(entrySchema).max(ENTRIES_MAX),
});
