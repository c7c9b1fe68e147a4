/** Making blocks and SNARK work. */
export type WorkAction =
  | { readonly type: "work/produce" }
  /** Looks for a proof that nobody makes yet. */
  | { readonly type: "work/choose" }
  /** The commitment had time to spread: the proof is begun, unless somebody else's came first. */
  | { readonly type: "work/begin" }
  /** Somebody else's proof of our job or commitment to it has come, or the job is gone. */
  | { readonly type: "work/review" };
