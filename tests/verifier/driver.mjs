// Runs the script of the page (named by the argument) in Node: one request a line on standard input, one answer
// a line on standard output. A request names an expression of the script, a function, and its arguments. Bytes
// travel as {"hex": ...}, Maps as objects, what the page refuses as {"refused": why}.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { runInThisContext } from "node:vm";

const script = readFileSync(process.argv[2], "utf8").match(/<script>([^]*)<\/script>/)[1];
runInThisContext(script);
const Refusal = runInThisContext("Refusal");

function given(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(given);
  if ("hex" in value) return new Uint8Array(Buffer.from(value.hex, "hex"));
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, given(inner)]));
}

function returned(value) {
  if (typeof value === "bigint") return String(value);
  if (value === null || typeof value !== "object") return value ?? null;
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString("hex") };
  if (Array.isArray(value)) return value.map(returned);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(entries.map(([name, inner]) => [name, returned(inner)]));
}

function answer({ call, args }) {
  try {
    return { value: returned(runInThisContext(call)(...args.map(given))) };
  } catch (error) {
    if (error instanceof Refusal) return { refused: error.message };
    return { broken: String(error.stack) };
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
}
