import type { BlockBody, SnarkInfo } from "../core/block.ts";
import type { Hex } from "../core/bytes.ts";
import { decode, encode } from "../core/codec/codec.ts";
import { bytesUpTo, hex, struct, u32, vec } from "../core/codec/schema.ts";
import { itemHash } from "../core/hash.ts";
import type { Hash, JobId } from "../core/ids.ts";
import { SortedMap } from "../core/sorted-map.ts";
import { type Content, jobOf } from "./sim-items.ts";

/** What the simulated chain knows after a block: of each sender the greatest applied nonce, and which proofs it wants. */
export interface Ledger {
  readonly height: number;
  readonly nonces: SortedMap<Hex, number>;
  /** Oldest first. */
  readonly jobs: ReadonlySet<JobId>;
  /** The same in every block. */
  readonly ballast: Uint8Array;
}

/** @param ballast bytes that mean nothing, so that it takes some chunks to stream */
export const genesisLedger = (ballast: number): Ledger => ({
  height: 0,
  nonces: SortedMap.empty(),
  jobs: new Set(),
  ballast: new Uint8Array(ballast),
});

const ENTRIES_MAX = 1 << 16;
const BYTES_MAX = 1 << 24;

const ledgerSchema = struct({
  height: u32,
  nonces: vec(struct({ sender: hex(32), nonce: u32 }), ENTRIES_MAX),
  jobs: vec(hex<JobId>(32), ENTRIES_MAX),
  ballast: bytesUpTo(BYTES_MAX),
});

/** A ledger as it is streamed, named by the stream root. */
export const encodeLedger = ({ height, nonces, jobs, ballast }: Ledger): Uint8Array =>
  encode(ledgerSchema, {
    height,
    nonces: [...nonces.entries()].map(([sender, nonce]) => ({ sender, nonce })),
    jobs: [...jobs],
    ballast,
  });

export function decodeLedger(bytes: Uint8Array): Ledger | null {
  const decoded = decode(ledgerSchema, bytes, BYTES_MAX);
  if (decoded.tag === "failed") return null;
  const { height, nonces, jobs, ballast } = decoded.value;
  return {
    height,
    nonces: SortedMap.from(nonces.map(({ sender, nonce }) => [sender, nonce])),
    jobs: new Set(jobs),
    ballast,
  };
}

const roots = new WeakMap<Ledger, Hash>();

export function ledgerRoot(ledger: Ledger): Hash {
  const known = roots.get(ledger);
  if (known !== undefined) return known;
  const root = itemHash(encodeLedger(ledger)) as Hash;
  roots.set(ledger, root);
  return root;
}

/** Why the next block could not contain this, and a pool should not hold it now; null: it could. */
export function refusalAt({ height, nonces, jobs }: Ledger, content: Content): string | null {
  if (content.tag !== "transaction") {
    const { jobId } = content.info;
    return jobs.has(jobId) ? null : `job ${jobId} is not pending`;
  }
  const { info, fromHeight } = content;
  const applied = nonces.get(info.sender) ?? -1;
  if (info.nonce <= applied) return `nonce ${info.nonce} is not above ${applied}`;
  return fromHeight <= height ? null : `not valid before height ${fromHeight}`;
}

export type Applied =
  | { readonly tag: "applied"; readonly ledger: Ledger }
  | { readonly tag: "refused"; readonly detail: string };

/** @param contentOf what a hash names: null for what says itself that it is not valid */
export function applyBody(
  parent: Ledger,
  body: BlockBody,
  contentOf: (hash: Hash, pool: "transaction" | "snark") => Content | null,
): Applied {
  const jobs = new Set(parent.jobs);
  for (const { hash, jobId } of body.snarks) {
    const content = contentOf(hash, "snark");
    if (content?.tag !== "snark" || content.info.jobId !== jobId)
      return refused(`${hash} is not for ${jobId}`);
    if (!jobs.delete(jobId)) return refused(`job ${jobId} is not pending`);
  }
  let { nonces } = parent;
  for (const hash of body.transactions) {
    const content = contentOf(hash, "transaction");
    if (content?.tag !== "transaction") return refused(`${hash} is not a valid transaction`);
    const refusal = refusalAt({ ...parent, nonces }, content);
    if (refusal !== null) return refused(refusal);
    nonces = nonces.set(content.info.sender, content.info.nonce);
    jobs.add(jobOf(hash));
  }
  return { tag: "applied", ledger: { ...parent, height: parent.height + 1, nonces, jobs } };
}

export interface Room {
  readonly transactionsMax: number;
  /** Nobody asks for more proofs than can be made. */
  readonly jobsMax: number;
}

/** A body that can be applied to the ledger: of what is offered the first that fit, of each sender by nonce. */
export function fillBody(ledger: Ledger, offered: readonly Content[], room: Room): BlockBody {
  const valid = offered.filter((content) => refusalAt(ledger, content) === null);
  const snarks = new Map<JobId, SnarkInfo>();
  for (const content of valid) {
    if (content.tag === "snark" && !snarks.has(content.info.jobId))
      snarks.set(content.info.jobId, content.info);
  }
  const slots = new Set<string>();
  const payments = valid
    .flatMap((content) => (content.tag === "transaction" ? [content.info] : []))
    .filter(({ sender, nonce }) => {
      const slot = `${sender} ${nonce}`;
      const isFirst = !slots.has(slot);
      slots.add(slot);
      return isFirst;
    });
  const count = Math.min(room.transactionsMax, room.jobsMax - ledger.jobs.size + snarks.size);
  const chosen = payments.slice(0, Math.max(0, count)).sort((a, b) => a.nonce - b.nonce);
  return { transactions: chosen.map(({ hash }) => hash), snarks: [...snarks.values()] };
}

const refused = (detail: string): Applied => ({ tag: "refused", detail });
