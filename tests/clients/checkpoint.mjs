// Verifies the ML-DSA-44 line of a checkpoint, from the byte layout of C2SP tlog-cosignature alone.
// node checkpoint.mjs LOG_PUB CHECKPOINT: prints {origin, size, time_s}, or says what is wrong and returns 1.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";

const ML_DSA_44 = 0x06;

function fail(why) {
  console.error(why);
  process.exit(1);
}

function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

function short(text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

// <name>+<hex key ID>+base64(type || public key): the base64 part may hold a plus of its own.
function readKey(text) {
  for (const line of text.split("\n")) {
    const [, name, id, encoded] = line.match(/^([^#+\s]+)\+([0-9a-f]{8})\+(\S+)$/) ?? [];
    const material = Buffer.from(encoded ?? "", "base64");
    if (material[0] !== ML_DSA_44) continue;
    const hashed = createHash("sha256").update(Buffer.concat([Buffer.from(`${name}\n`), material])).digest();
    if (hashed.toString("hex", 0, 4) !== id) fail("the key's ID is not that of the key");
    return { name, id, publicKey: material.subarray(1) };
  }
  return fail("no ML-DSA-44 key in the file");
}

const key = readKey(readFileSync(process.argv[2], "utf8"));
const note = readFileSync(process.argv[3], "utf8");
const end = note.lastIndexOf("\n\n");
const [origin, size, root] = note.slice(0, end + 1).split("\n");
const lines = note.slice(end + 2).trimEnd().split("\n").map((line) => line.split(" "));
const ours = lines.find(
  ([dash, name, encoded]) =>
    dash === "\u2014" && name === key.name && Buffer.from(encoded, "base64").toString("hex", 0, 4) === key.id,
);
if (!ours) fail("no line of this ML-DSA-44 key");
const bytes = Buffer.from(ours[2], "base64");
const time = bytes.readBigUInt64BE(4);
const signature = bytes.subarray(12);
if (signature.length !== 2420) fail("the signature has another length");
const message = Buffer.concat([
  Buffer.from("subtree/v1\n\0"),
  short(key.name),
  u64(time),
  short(origin),
  u64(0),
  u64(size),
  Buffer.from(root, "base64"),
]);
if (!ml_dsa44.verify(signature, message, key.publicKey)) fail("the ML-DSA-44 signature does not verify");
console.log(JSON.stringify({ origin, size: Number(size), time_s: Number(time) }));
