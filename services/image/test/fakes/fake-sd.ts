import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

/**
 * stable-diffusion.cpp's program as far as it is used: says how far it is, and writes its pictures. With `HOLD` as its
 * prompt it starts a child, as programs do that call others, and works until it is ended.
 */

const values = new Map<string, string>();
for (let at = 2; at + 1 < process.argv.length; at += 2) values.set(process.argv[at] ?? "", process.argv[at + 1] ?? "");
const value = (flag: string): string => values.get(flag) ?? "";
if (readFileSync(value("--model")).length === 0) throw new Error("the model is empty");
process.stdout.write(readFileSync(value("--fake-output"), "utf8").replace("MODEL", value("--model")));
writeFileSync(
  value("--fake-asked"),
  JSON.stringify({ arguments: Object.fromEntries(values), environment: process.env }),
);

const steps = Number(value("--steps"));
const bar = (step: number): void => {
  process.stdout.write(`\r  |${"=".repeat(step)}>${" ".repeat(steps - step)}| ${step}/${steps} - 1.35s/it`);
};
if (value("--prompt") === "HOLD") {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  bar(1);
  writeFileSync(value("--fake-held"), JSON.stringify({ pid: process.pid, child: child.pid }));
  setInterval(() => {}, 1_000);
} else {
  const count = Number(value("--batch-count"));
  for (let picture = 1; picture <= count; picture++) {
    for (let step = 1; step <= steps; step++) bar(step);
    const name = value("--output").replace(/\.png$/, picture === 1 ? ".png" : `_${picture}.png`);
    writeFileSync(name, readFileSync(value("--fake-picture")));
  }
  process.stdout.write("\n[INFO ] save result image\n");
}
