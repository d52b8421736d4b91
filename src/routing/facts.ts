/** What is known of a host. Absent means unknown. Bytes and counts. */
export interface HostFacts {
  readonly zone?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly gpu?: {
    /** Of the largest one, in bytes. */
    readonly memory?: number;
    readonly count?: number;
    readonly name?: string;
    readonly computeCapability?: number;
  };
  /** Bytes. */
  readonly memory?: number;
  /** Cores. */
  readonly cpu?: number;
}
