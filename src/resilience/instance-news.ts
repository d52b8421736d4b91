/** What one gateway process has learnt of an instance, and others should know. Durations, for their clocks differ. */
export type InstanceNews =
  /** A probe found it able (`undefined`) or unable to take requests. */
  | { readonly kind: "readiness"; readonly key: string; readonly unready: string | undefined }
  /** It asked to be left alone. */
  | { readonly kind: "limited"; readonly key: string; readonly forMs: number }
  /** It failed too often in a row. */
  | { readonly kind: "ejected"; readonly key: string; readonly forMs: number; readonly reason: string }
  /** A request that tried it after an ejection went well. */
  | { readonly kind: "back"; readonly key: string };
