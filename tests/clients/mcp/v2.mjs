// The TypeScript SDK's second line. MCP_ERA is how it agrees on a version: auto or legacy.

import assert from "node:assert/strict";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { check, command, headers, url } from "./checks.mjs";

const mode = process.env.MCP_ERA;
const client = new Client({ name: "v2", version: "1" }, { versionNegotiation: { mode } });
const transport = command
  ? new StdioClientTransport({ command: command[0], args: command.slice(1), env: process.env })
  : new StreamableHTTPClientTransport(url, { requestInit: { headers } });
await client.connect(transport);
const agreed = { auto: "2026-07-28", legacy: "2025-11-25" };
assert.equal(client.getNegotiatedProtocolVersion(), agreed[mode]);
await check(client);
