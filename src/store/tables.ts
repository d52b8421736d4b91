/** Milliseconds since the epoch. */
type Moment = number;

export interface ChangesTable {
  /** What has changed: `keys`. */
  name: string;
  /** Grows by one with every transaction that changes it. */
  counter: number;
}

export interface TenantsTable {
  id: string;
  name: string;
  /** JSON. */
  limits: string;
  created_at: Moment;
  /** The counter of the change that wrote the row. */
  revision: number;
}

export interface KeysTable {
  id: string;
  name: string;
  tenant_id: string;
  role: "user" | "service" | "monitor" | "admin";
  hint: string;
  is_weak: 0 | 1;
  /** JSON. */
  limits: string;
  created_at: Moment;
  expires_at: Moment | null;
  revoked_at: Moment | null;
  revision: number;
}

export interface KeySecretsTable {
  /** SHA-256, hexadecimal. */
  hash: string;
  key_id: string;
  created_at: Moment;
  valid_until: Moment | null;
}

export interface UsageDaysTable {
  day: string;
  key_id: string;
  tenant_id: string;
  model: string;
  operation: string;
  requests: number;
  errors: number;
  prompt_tokens: number;
  completion_tokens: number;
  cost_micro_usd: number;
}

export interface UsageRecordersTable {
  id: string;
  /** Its newest batch that is in `usage_days`. */
  last_batch: number;
  seen_at: Moment;
}

/** What a tenant's stored answers come to. */
export interface ResponseShelvesTable {
  tenant_id: string;
  responses: number;
  bytes: number;
}

export interface ResponsesTable {
  tenant_id: string;
  id: string;
  /** JSON. */
  document: string;
  bytes: number;
  created_at: Moment;
  expires_at: Moment;
}

export interface ResponseItemsTable {
  tenant_id: string;
  item_id: string;
  response_id: string;
}

export interface ResponseRunsTable {
  tenant_id: string;
  id: string;
  status: "queued" | "in_progress" | "cancelling";
  /** The process that works on it, until `held_until`. */
  holder: string;
  held_until: Moment;
}

export interface ResponseEventsTable {
  tenant_id: string;
  response_id: string;
  /** Sequence numbers of the first and the last one. */
  first: number;
  last: number;
  /** JSON. */
  events: string;
  expires_at: Moment;
}

export interface JobsTable {
  id: string;
  tenant_id: string;
  kind: "video" | "music";
  /** `<service>/<instance>`: who made it and nobody else knows it. */
  instance: string;
  /** What that instance calls it. */
  backend_id: string;
  model: string;
  /** JSON: as its instance described it last, with the client's id. */
  last_seen: string;
  created_at: Moment;
  expires_at: Moment;
}

export interface FilesTable {
  id: string;
  tenant_id: string;
  purpose: string;
  filename: string;
  bytes: number;
  created_at: Moment;
  expires_at: Moment | null;
}

export interface BatchesTable {
  id: string;
  tenant_id: string;
  key_id: string;
  endpoint: string;
  input_file_id: string;
  completion_window: string;
  /** JSON. */
  metadata: string;
  /** How long its results are kept; null: as long as nobody deletes them. */
  output_expiry_ms: number | null;
  status: string;
  /** JSON: what is wrong with it as a whole. */
  errors: string;
  /** JSON: when it came into each status. */
  moments: string;
  output_file_id: string | null;
  error_file_id: string | null;
  total: number;
  completed: number;
  failed: number;
  created_at: Moment;
  expires_at: Moment;
  /** The process that works on it, until `held_until`. */
  holder: string | null;
  held_until: Moment;
}

export interface BatchAnswersTable {
  batch_id: string;
  /** Of the input file, from 1. */
  line: number;
  is_error: 0 | 1;
  /** The line of the output or the error file. */
  document: string;
}

/** Every table. A room that keeps something adds its own, and a migration. */
export interface Tables {
  changes: ChangesTable;
  tenants: TenantsTable;
  keys: KeysTable;
  key_secrets: KeySecretsTable;
  usage_days: UsageDaysTable;
  usage_recorders: UsageRecordersTable;
  response_shelves: ResponseShelvesTable;
  responses: ResponsesTable;
  response_items: ResponseItemsTable;
  response_runs: ResponseRunsTable;
  response_events: ResponseEventsTable;
  jobs: JobsTable;
  files: FilesTable;
  batches: BatchesTable;
  batch_answers: BatchAnswersTable;
}
