/** What a room may know. */
export interface Room {
  /** Rooms that it may import. */
  readonly imports: readonly string[];
  /** Rooms of which it may know types: they are gone at runtime. */
  readonly types?: readonly string[];
  /** The only packages that it may import; when left out any declared one, or none in a pure room. */
  readonly packages?: readonly string[];
  /** Decides and never acts: no I/O, no clock, no chance. The same question gets the same answer. */
  readonly isPure?: true;
}

/** The rooms under `src/`, from the ground up. A room knows only rooms that it is built on. */
export const rooms: Readonly<Record<string, Room>> = {
  base: { imports: [], packages: [] },
  audio: { imports: [], isPure: true },
  contract: { imports: ["base"], packages: ["zod"] },
  openai: { imports: ["base"], isPure: true },
  translate: { imports: ["base", "openai"], isPure: true },
  observability: { imports: ["base"] },
  supervisor: { imports: ["base"] },
  records: { imports: ["base"] },
  store: { imports: ["base"] },
  keys: { imports: ["base", "contract", "store"] },
  objects: { imports: ["base", "store", "translate"] },
  registry: { imports: ["base", "contract"] },
  routing: {
    imports: ["base", "contract"],
    types: ["registry"],
    packages: ["zod", "@marcbachmann/cel-js"],
    isPure: true,
  },
  resilience: { imports: ["base", "contract"], types: ["registry"] },
  workers: { imports: ["base", "keys", "observability", "records", "resilience"] },
  blobs: { imports: ["base", "contract"] },
  dialects: { imports: ["base", "contract"] },
  "service-kit": { imports: ["base", "contract", "observability", "registry"] },
  gateway: {
    imports: [
      "base",
      "contract",
      "keys",
      "objects",
      "openai",
      "translate",
      "observability",
      "records",
      "resilience",
      "routing",
    ],
    types: ["registry"],
  },
  // Its schema is put together from the rooms' own `config.ts`.
  config: { imports: ["base", "contract", "*/config.ts", "observability"] },
  attach: { imports: ["base", "contract", "config", "dialects", "registry", "service-kit"] },
  control: {
    imports: ["base", "contract", "keys", "attach", "registry", "routing"],
    types: ["gateway", "supervisor"],
  },
  scaffold: { imports: ["base", "contract"], packages: ["yaml", "zod"] },
  cli: {
    imports: ["base", "blobs", "config", "contract", "scaffold"],
    types: ["control", "gateway", "keys", "records"],
  },
  // The only wiring.
  roles: { imports: ["*"] },
};

/** Rooms that must be able to change, and to fail, without each other. */
export const strangers = ["gateway", "supervisor", "agents"];
