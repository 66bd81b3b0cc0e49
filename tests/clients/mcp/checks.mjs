// What a client of MCP must find in a gateway, whichever SDK and version of the protocol it speaks.
// MCP_URL and MACROSLOW_API_KEY say where and who; or MCP_COMMAND, in JSON, is what it starts.

import assert from "node:assert/strict";

export const headers = { authorization: `Bearer ${process.env.MACROSLOW_API_KEY}` };
export const url = process.env.MCP_URL && new URL(process.env.MCP_URL);
export const command = process.env.MCP_COMMAND && JSON.parse(process.env.MCP_COMMAND);

export async function check(client) {
  const { tools } = await client.listTools();
  const names = tools.map((tool) => tool.name);
  assert.ok(["run_document", "complete_chat", "usage"].every((name) => names.includes(name)), String(names));
  assert.ok(tools.every((tool) => tool.description && tool.inputSchema && tool.outputSchema));

  const messages = [{ role: "user", content: "Answer with exactly: forty-two" }];
  const chat = await client.callTool({ name: "complete_chat", arguments: { model: "gpt-4o-mini", messages } });
  assert.equal(chat.structuredContent.choices[0].message.content, "forty-two");
  assert.deepEqual(JSON.parse(chat.content[0].text), chat.structuredContent);

  const refused = await client.callTool({ name: "complete_chat", arguments: { model: "gpt-99", messages } });
  assert.ok(refused.isError && refused.content[0].text.includes("gpt-99"));
  await assert.rejects(client.callTool({ name: "no_such_tool", arguments: {} }), (error) => error.code === -32602);

  const { resources } = await client.listResources();
  const reference = resources.find((resource) => resource.uri === "macroslow://reference/maml");
  assert.ok((await client.readResource({ uri: reference.uri })).contents[0].text.includes("MAML"));
  const { prompts } = await client.listPrompts();
  assert.ok(prompts.some((prompt) => prompt.name === "write_workflow"));
  await client.close();
}
