import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** Where a platform keeps its things. One data directory is one platform. */
export interface DataPaths {
  readonly root: string;
  /** Unix socket of the control API; whoever may open it is the operator. */
  readonly controlSocket: string;
  /** One JSON file a running process: pid, start time, address. */
  readonly run: string;
  /** Held by the parent process for as long as it runs. */
  readonly lock: string;
  /** One bounded log file a process. */
  readonly logs: string;
  /** Keys, tenants and usage, unless the configuration names another database. */
  readonly database: string;
  /** The gateway's last good keys, by their hashes: with it a gateway starts while the database is away. */
  readonly gatewayKeys: string;
  /** Usage that the database has not taken yet, one file a gateway process. */
  readonly usageSpool: string;
  /** Where keys were kept before there was a database; taken over once and renamed. */
  readonly keys: string;
  /** An admin key for the verbs of this machine's owner; mode 0600, never printed. */
  readonly operatorKey: string;
  /** The gateway's settings in force, in a file that it follows. */
  readonly childConfig: string;
  /** What came of the parent's reloads, for the gateway's metrics. */
  readonly reloads: string;
  /** Which of its settings the gateway has taken over. */
  readonly takenConfig: string;
  /** The embedded registry's snapshot. */
  readonly registry: string;
  /** The gateway's last view of the registry: serves from it while the control process is away. */
  readonly gatewayView: string;
  /** What loading models was seen to cost on each host. */
  readonly coldStarts: string;
  /** What is kept of the last requests, in segments. */
  readonly requests: string;
  /** What clients upload and batches answer, by id. */
  readonly files: string;
  /** Servers that the operator attached. */
  readonly attachments: string;
  /** Model files and the catalogue's own additions. */
  readonly models: string;
}

/** The kernel's limit on the path of a Unix socket is 108 bytes with its final zero (unix(7)). */
const socketPathBytesMax = 107;

/** The layout under a data directory. Long paths get their socket under the system's temporary directory. */
export function dataPaths(dataDirectory: string): DataPaths {
  const root = resolve(dataDirectory);
  const inside = join(root, "control.sock");
  const short = createHash("sha256").update(root).digest("hex").slice(0, 16);
  const controlSocket =
    Buffer.byteLength(inside) <= socketPathBytesMax
      ? inside
      : join(tmpdir(), `nexus-${process.getuid?.() ?? 0}-${short}`, "control.sock");
  return {
    root,
    controlSocket,
    run: join(root, "run"),
    lock: join(root, "run", "parent.json"),
    logs: join(root, "logs"),
    database: join(root, "nexus.db"),
    gatewayKeys: join(root, "gateway-keys.json"),
    usageSpool: join(root, "usage"),
    keys: join(root, "keys.json"),
    operatorKey: join(root, "operator.key"),
    childConfig: join(root, "config"),
    reloads: join(root, "config", "reloads.json"),
    takenConfig: join(root, "config", "taken.json"),
    registry: join(root, "registry.json"),
    gatewayView: join(root, "gateway-registry.json"),
    coldStarts: join(root, "cold-starts.json"),
    requests: join(root, "requests"),
    files: join(root, "files"),
    attachments: join(root, "attachments.json"),
    models: join(root, "models"),
  };
}
