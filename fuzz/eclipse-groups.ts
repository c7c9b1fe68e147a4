import type { DialAddress } from "../core/multiaddr.ts";

/** The address groups of fuzz/eclipse.ts and fuzz/eclipse-book.ts: so many, the first of them the attacker's. */
export const GROUPS = 80;
export const ATTACKED_GROUPS = 16;

export const hostIn = (group: number, number: number): string => `20.1.${group}.${number}`;
export const groupOf = ({ host }: DialAddress): number => Number(host.split(".")[2]);
export const isAttacked = (address: DialAddress): boolean => groupOf(address) < ATTACKED_GROUPS;
