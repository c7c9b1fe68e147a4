import type { Reason, Rejection } from "../../core/reasons.ts";

// One key's connections as sections 3.3, 4 and 5 of docs/protocol.md describe them, and nothing else was looked at.
// Each function is one thing that happens; what the node has to do then is noted in `out`.

const [SECOND, MINUTE, HOUR] = [1_000, 60_000, 3_600_000];

export interface Connection {
  readonly id: number;
  readonly isOurs: boolean;
  readonly startedMs: number;
  /** Both are signed: all that decides between two connections. */
  readonly issuedMs: number;
  readonly nonce: string;
  stage: "asking" | "probing" | "connecting" | "live";
  /** The transport is up and its channels are open. */
  isUp: boolean;
}

export interface ConnectionModel {
  readonly isOurKeyGreater: boolean;
  nowMs: number;
  nextId: number;
  readonly all: Map<number, Connection>;
  liveSinceMs: number;
  heardMs: number;
  pingMs: number | null;
  bannedUntilMs: number;
  restsUntilMs: number;
  strikesMs: number[];
  readonly usedNonces: Map<string, number>;
  /** The address is to be kept connected: when it is dialed next, at the earliest and at the latest. */
  wanted: { fromMs: number; untilMs: number } | null;
  failures: number;
  retries: number;
  out: string[];
}

export const connectionModel = (
  nowMs: number,
  nextId: number,
  isOurKeyGreater: boolean,
): ConnectionModel => ({
  isOurKeyGreater,
  nowMs,
  nextId,
  all: new Map(),
  liveSinceMs: 0,
  heardMs: 0,
  pingMs: null,
  bannedUntilMs: 0,
  restsUntilMs: 0,
  strikesMs: [],
  usedNonces: new Map(),
  wanted: null,
  failures: 0,
  retries: 0,
  out: [],
});

const find = (model: ConnectionModel, holds: (one: Connection) => boolean): Connection | undefined =>
  [...model.all.values()].find(holds);
export const liveOf = (model: ConnectionModel) => find(model, ({ stage }) => stage === "live");
export const dialOf = (model: ConnectionModel) => find(model, (one) => one.isOurs && one.stage !== "live");
const answeredOf = (model: ConnectionModel) => find(model, (one) => !one.isOurs && one.stage !== "live");

// Dialing

export const mayDial = (model: ConnectionModel): boolean =>
  model.wanted !== null &&
  model.nowMs >= Math.max(model.wanted.fromMs, model.bannedUntilMs, model.restsUntilMs) &&
  liveOf(model) === undefined &&
  dialOf(model) === undefined;

export const isDialOverdue = (model: ConnectionModel): boolean =>
  mayDial(model) &&
  model.nowMs > Math.max(model.wanted?.untilMs ?? 0, model.bannedUntilMs, model.restsUntilMs);

export function dial(model: ConnectionModel, nonce: string): void {
  const { nowMs } = model;
  begin(model, { isOurs: true, stage: "asking", issuedMs: nowMs, nonce });
  model.out.push("dial");
}

const NO_USE: readonly Rejection[] = ["chainMismatch", "selfDial", "badSignature", "badSdp"];

/** The reply to our offer, or what came instead of one. */
export function replied(
  model: ConnectionModel,
  one: Connection,
  reply: Rejection | "answer" | "nonsense",
  afterMs: number,
): void {
  if (reply === "answer") {
    one.stage = "connecting";
    return;
  }
  end(model, one);
  backOff(model, reply === "nonsense" ? 0 : afterMs);
  if (reply !== "nonsense" && NO_USE.includes(reply))
    model.wanted = { fromMs: model.nowMs + 10 * MINUTE, untilMs: model.nowMs + 10 * MINUTE };
}

/** 1 s, doubling, to 10 min, of which jitter takes half at most. */
function backOff(model: ConnectionModel, leastMs: number): void {
  if (model.wanted === null) return;
  model.failures += 1;
  model.retries = 0;
  const fullMs = Math.min(10 * MINUTE, SECOND * 2 ** (model.failures - 1));
  const { nowMs } = model;
  if (model.wanted === null) return;
  model.wanted = {
    fromMs: nowMs + Math.max(leastMs, fullMs / 2),
    untilMs: nowMs + Math.max(leastMs, fullMs),
  };
}

// Being dialed

export function offered(model: ConnectionModel, issuedMs: number, nonce: string): void {
  const { nowMs } = model;
  const live = liveOf(model);
  const refusal = refusalOf(model, issuedMs, nonce);
  if (refusal !== "stale" && refusal !== "replayed") model.usedNonces.set(nonce, nowMs + 3 * MINUTE);
  const older = answeredOf(model);
  const one = begin(model, { isOurs: false, stage: "connecting", issuedMs, nonce });
  if (refusal !== null) {
    model.all.delete(one.id);
    model.out.push(`reject ${one.id} ${refusal}`);
    return;
  }
  if (older !== undefined) goodbye(model, older, "duplicate");
  if (live === undefined) {
    model.out.push(`accept ${one.id}`);
    return;
  }
  one.stage = "probing";
  ping(model);
}

function refusalOf(model: ConnectionModel, issuedMs: number, nonce: string): Rejection | null {
  const { nowMs } = model;
  if (Math.abs(nowMs - issuedMs) > MINUTE) return "stale";
  if ((model.usedNonces.get(nonce) ?? 0) > nowMs) return "replayed";
  if (model.bannedUntilMs > nowMs) return "banned";
  if (model.restsUntilMs > nowMs) return "rateLimited";
  // One is being probed already.
  return find(model, ({ stage }) => stage === "probing") === undefined ? null : "rateLimited";
}

function probed(model: ConnectionModel, one: Connection): void {
  one.stage = "connecting";
  model.out.push(`accept ${one.id}`);
}

// The connection

export function opened(model: ConnectionModel, one: Connection): void {
  one.isUp = true;
  model.out.push(`hello ${one.id}`);
}

export function broke(model: ConnectionModel, one: Connection): void {
  const { isOurs, stage, startedMs } = one;
  if (stage === "live") model.out.push("ended connectionLost");
  end(model, one, false);
  if (stage === "live" || !isOurs) return;
  if (model.retries >= 2 || model.nowMs >= startedMs + SECOND) backOff(model, 0);
  else {
    model.retries += 1;
    model.wanted = { fromMs: model.nowMs, untilMs: model.nowMs };
  }
}

/** Its certificate is not the signed one. */
export function unmasked(model: ConnectionModel, one: Connection): void {
  end(model, one);
  if (one.isOurs) backOff(model, 0);
}

/** The Hello of the right session: the key is proven. */
export function greeted(model: ConnectionModel, one: Connection): void {
  const other = liveOf(model);
  const isSilent = model.pingMs !== null && model.nowMs >= model.pingMs + 2 * SECOND;
  if (other !== undefined && !isSilent && stays(model, other, one)) {
    goodbye(model, one, "duplicate");
    return;
  }
  if (other !== undefined) goodbye(model, other, "duplicate");
  one.stage = "live";
  model.pingMs = null;
  model.liveSinceMs = model.nowMs;
  model.heardMs = model.nowMs;
}

/** 3.3: chosen by signed values alone. */
function stays({ isOurKeyGreater }: ConnectionModel, older: Connection, newer: Connection): boolean {
  if (older.isOurs !== newer.isOurs && Math.abs(older.issuedMs - newer.issuedMs) <= 30 * SECOND)
    return older.isOurs === isOurKeyGreater;
  if (older.issuedMs !== newer.issuedMs) return older.issuedMs > newer.issuedMs;
  return older.nonce > newer.nonce;
}

/** The peer says it; before its Hello that is one more thing that came too early. */
export function goodbyeHeard(model: ConnectionModel, one: Connection, reason: Reason, banMs: number): void {
  if (one.stage !== "live") {
    misbehaved(model, one, "badState");
    return;
  }
  model.out.push(`ended ${reason}`);
  end(model, one);
  if (model.wanted !== null) model.wanted.untilMs = Math.max(model.wanted.untilMs, model.nowMs + banMs);
}

/** A violation: who has proven a key loses it for a day, with whatever else is on its way with it. */
export function misbehaved(model: ConnectionModel, one: Connection, reason: Reason): void {
  const isProven = one.stage === "live";
  if (isProven) model.bannedUntilMs = model.nowMs + 24 * HOUR;
  for (const other of [...model.all.values()]) {
    if (!isProven || other === one) continue;
    goodbye(model, other, reason);
    // It has lost against nothing: it has failed.
    if (other.isOurs && other.isUp) backOff(model, 0);
  }
  goodbye(model, one, reason, isProven ? 24 * HOUR : 0);
}

/** We end it. It hears why if it can hear at all. */
function goodbye(model: ConnectionModel, one: Connection, reason: Reason, banMs = 0): void {
  if (one.isUp) model.out.push(`goodbye ${one.id} ${reason} ${banMs}`);
  if (one.stage === "live") model.out.push(`ended ${reason}`);
  const wasDial = one.isOurs && one.stage !== "live";
  end(model, one);
  // A dial that lost against a live connection has not failed.
  if (wasDial && (!one.isUp || liveOf(model) === undefined)) backOff(model, 0);
}

function end(model: ConnectionModel, one: Connection, isClosed = true): void {
  model.all.delete(one.id);
  if (isClosed && one.stage !== "probing") model.out.push(`close ${one.id}`);
  if (one.stage !== "live") return;
  model.pingMs = null;
  if (model.nowMs - model.liveSinceMs >= MINUTE) model.failures = 0;
  backOff(model, 0);
  const newcomer = find(model, ({ stage }) => stage === "probing");
  if (newcomer !== undefined) probed(model, newcomer);
}

// Keepalive and time

/** Whatever comes in, also what is ignored, puts the next Ping off. The node may note it once a second only. */
export function heard(model: ConnectionModel): void {
  if (model.nowMs >= model.heardMs + SECOND) model.heardMs = model.nowMs;
}

export function heardPing(model: ConnectionModel, { id }: Connection): void {
  heard(model);
  model.out.push(`pong ${id}`);
}

export function heardPong(model: ConnectionModel): void {
  model.pingMs = null;
  model.heardMs = model.nowMs;
  const newcomer = find(model, ({ stage }) => stage === "probing");
  if (newcomer === undefined) return;
  model.all.delete(newcomer.id);
  model.out.push(`reject ${newcomer.id} alreadyConnected`);
}

function ping(model: ConnectionModel): void {
  if (model.pingMs !== null) return;
  model.pingMs = model.nowMs;
  model.out.push(`ping ${liveOf(model)?.id}`);
}

/** When one of these would time out. */
const endMs = ({ heardMs, pingMs }: ConnectionModel, { stage, startedMs }: Connection): number => {
  if (stage !== "live") return startedMs + 15 * SECOND;
  return pingMs === null ? heardMs + 10 * SECOND : pingMs + 10 * SECOND;
};
const probeEndMs = ({ startedMs }: Connection): number => startedMs + 2 * SECOND;

export const nextMs = (model: ConnectionModel): number =>
  Math.min(
    ...[...model.all.values()].map((one) =>
      one.stage === "probing" ? Math.min(endMs(model, one), probeEndMs(one)) : endMs(model, one),
    ),
  );

/** What is due now, by time alone. */
export function tick(model: ConnectionModel): void {
  for (const one of [...model.all.values()]) {
    if (one.stage === "probing" && probeEndMs(one) <= model.nowMs) probed(model, one);
    if (!model.all.has(one.id) || endMs(model, one) > model.nowMs) continue;
    if (one.stage === "live" && model.pingMs === null) ping(model);
    else {
      if (one.stage === "live") strike(model);
      goodbye(model, one, "timeout");
    }
  }
}

function strike(model: ConnectionModel): void {
  const { nowMs } = model;
  model.strikesMs = [...model.strikesMs.filter((atMs) => atMs > nowMs - 10 * MINUTE), nowMs];
  if (model.strikesMs.length < 3) return;
  model.strikesMs = [];
  model.restsUntilMs = nowMs + 30 * MINUTE;
}

function begin(
  model: ConnectionModel,
  start: Pick<Connection, "isOurs" | "stage" | "issuedMs" | "nonce">,
): Connection {
  const one = { ...start, id: model.nextId, startedMs: model.nowMs, isUp: false };
  model.all.set(one.id, one);
  model.nextId += 1;
  return one;
}
