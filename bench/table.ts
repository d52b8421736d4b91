import type { GatewayResult, Results, Row } from "./results.ts";

/** The columns of the comparison: a load, and what is shown of its row. */
interface Column {
  readonly title: string;
  readonly load: string;
  readonly show: (row: Row) => string | undefined;
}

const withErrors = (text: string, { errors }: Row) => (errors > 0 ? `${text} (${withCommas(errors)} errors)` : text);
const perSecond = (row: Row) => (row.rps === null ? undefined : withErrors(withCommas(row.rps), row));
const latencies = (row: Row) =>
  row.p50_us === null || row.p99_us === null
    ? undefined
    : withErrors(`${milliseconds(row.p50_us)} / ${milliseconds(row.p99_us)}`, row);

const columns: readonly Column[] = [
  { title: "chat, requests/s", load: "chat", show: perSecond },
  { title: "CPU, us a request", load: "chat", show: (row) => row.cpu_us_per_request?.toFixed(0) },
  { title: "at 500/s, p50 / p99 ms", load: "rate", show: latencies },
  { title: "one connection, p50 / p99 ms", load: "single", show: latencies },
  { title: "streams/s", load: "stream", show: perSecond },
  { title: "first chunk, p50 / p99 ms", load: "first_chunk", show: latencies },
  { title: "chunk lag, p50 / p99 ms", load: "chunk_lag", show: latencies },
  { title: "200 KB prompts/s", load: "prompt", show: perSecond },
  { title: "two workers, requests/s", load: "workers", show: perSecond },
  {
    title: "start, ms",
    load: "start",
    show: ({ p50_us }) => (p50_us === null ? undefined : (p50_us / 1_000).toFixed(0)),
  },
  { title: "memory, MB", load: "soak", show: ({ rss_total_mb }) => rss_total_mb?.toFixed(0) },
];

/** The results as Markdown: the machine, the comparison, the ratios, the parts, the goals. */
export function toMarkdown(results: Results): string {
  const { gateways } = results;
  const shown = columns.filter(({ load }) => results.rows.some((row) => row.load === load));
  const present = gateways.filter(({ skipped }) => skipped === null);
  const sections = [
    intro(results),
    table(
      ["gateway", ...shown.map(({ title }) => title)],
      present.map((gateway) => [nameOf(gateway), ...shown.map((column) => cell(results, gateway, column))]),
    ),
    ratios(results),
    `What each one has switched on:\n\n${present.map((gateway) => `- ${nameOf(gateway)}: ${gateway.features}.`).join("\n")}`,
    absent(results),
    parts(results),
    goals(results),
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

function intro({ machine, commit, node, measured_at, rows, quick }: Results): string {
  const rounds = Math.max(0, ...rows.filter(({ load }) => load === "chat").map((row) => row.rounds));
  const { cpu, cores, memory_gb, os } = machine;
  const kind = quick ? " in a quick run, whose figures are rough" : "";
  return (
    `Measured on ${measured_at.slice(0, 10)}${kind}: ${cpu}, ${cores} cores, ${memory_gb} GB, ${os}, Node ${node}, ` +
    `commit ${commit}. Medians over the rounds, of which there were ${rounds}.`
  );
}

function nameOf({ title, version }: GatewayResult): string {
  return version === "" ? title : `${title} ${version}`;
}

function cell({ rows }: Results, { name }: GatewayResult, { load, show }: Column): string {
  const row = rows.find((one) => one.gateway === name && one.load === load);
  if (row === undefined) return "";
  if (row.reason !== null) return "—";
  return show(row) ?? "";
}

function ratios({ ratios: all, gateways, rows }: Results): string {
  const loads = ["chat", "stream", "prompt"].filter((load) => rows.some((row) => row.load === load));
  const wanted = gateways.filter(({ name }) => all.some(({ gateway }) => gateway === name));
  if (wanted.length === 0) return "";
  const text = (name: string, load: string) => {
    const ratio = all.find((one) => one.gateway === name && one.load === load);
    return ratio === undefined ? "" : `${ratio.to_nginx ?? "—"} / ${ratio.to_direct ?? "—"}`;
  };
  const lines = wanted.map((gateway) => [gateway.title, ...loads.map((load) => text(gateway.name, load))]);
  return `Requests a second as a share of nginx's / of the mock's own:\n\n${table(["gateway", ...loads], lines)}`;
}

/** Who is missing, and why. */
function absent({ gateways, rows }: Results): string {
  const lines = [
    ...gateways.flatMap(({ title, skipped }) => (skipped === null ? [] : [`- ${title}: ${oneLine(skipped)}`])),
    ...rows.flatMap((row) => {
      const title = gateways.find(({ name }) => name === row.gateway)?.title ?? row.gateway;
      return row.reason === null ? [] : [`- ${title}, ${row.load}: ${oneLine(row.reason)}`];
    }),
  ];
  return lines.length === 0 ? "" : `Not measured:\n\n${lines.join("\n")}`;
}

function parts({ parts: all }: Results): string {
  if (all.length === 0) return "";
  const lines = all.map((part) => [part.what, withCommas(part.instances), String(part.p50_ms), String(part.p99_ms)]);
  return `Parts of Nexus, each alone in a process:\n\n${table(["what", "instances", "p50 ms", "p99 ms"], lines)}`;
}

function goals({ goals: all }: Results): string {
  if (all.length === 0) return "";
  const word = (met: boolean | null) => (met === null ? "not measured in full" : met ? "met" : "not met");
  return table(
    ["", "goal", "measured", ""],
    all.map(({ id, goal, measured, met }) => [id, goal, measured, word(met)]),
  );
}

function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...lines.map(line)].join("\n");
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").trim();
}

function milliseconds(microseconds: number): string {
  const value = microseconds / 1_000;
  return value.toFixed(value >= 10 ? 0 : value >= 1 ? 1 : 2);
}

function withCommas(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

const begin = "<!-- results: written by `npm run bench` -->";
const end = "<!-- end of results -->";

/** Puts the results between the markers of a page. @throws Error when the page has none. */
export function insertResults(page: string, results: Results): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from === -1 || to < from) throw new Error("the page has no place for results");
  return `${page.slice(0, from + begin.length)}\n\n${toMarkdown(results)}\n\n${page.slice(to)}`;
}
