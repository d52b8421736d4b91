const name = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const labels = `\\{(?:${label}(?:,${label})*,?)?\\}`;
const value = "(?:[+-]?Inf|NaN|[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?)";
const samplePattern = new RegExp(`^(${name})(?:${labels})?[ \\t]+${value}(?:[ \\t]+-?\\d+)?$`);
const typePattern = new RegExp(`^# TYPE (${name}) (counter|gauge|histogram|summary|untyped)$`);

/**
 * What is wrong with a text in Prometheus's exposition format 0.0.4, or undefined: every line is a comment or a sample,
 * a metric has one type, which stands before its samples.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function prometheusProblem(text: string): string | undefined {
  const typed = new Set<string>();
  const sampled = new Set<string>();
  const lines = text.split("\n");
  if (!text.endsWith("\n")) return "the last line has no end";
  for (const [index, line] of lines.entries()) {
    if (line === "" || (line.startsWith("#") && !line.startsWith("# TYPE "))) continue;
    const at = `line ${index + 1} (${line.slice(0, 60)})`;
    if (line.startsWith("#")) {
      const type = typePattern.exec(line)?.[1];
      if (type === undefined) return `${at} is no TYPE line`;
      if (typed.has(type)) return `${at} gives a second type`;
      if (sampled.has(type)) return `${at} stands after its samples`;
      typed.add(type);
      continue;
    }
    const sample = samplePattern.exec(line)?.[1];
    if (sample === undefined) return `${at} is no sample`;
    sampled.add(sample);
  }
  return sampled.size === 0 ? "there is no sample in it" : undefined;
}
