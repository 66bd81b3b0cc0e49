// Anthropic's SDK for Node against a gateway. Reads ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY as it does by
// itself; POOR_KEY is a key whose budget is used up. Ends with an error where something is not as it should be.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ maxRetries: 0 });
const model = "claude-sonnet-5-5";
const messages = [{ role: "user", content: "Answer with exactly: forty-two" }];
const plain = { model, messages, max_tokens: 100 };
const look = { name: "look", input_schema: { type: "object", properties: { at: { type: "string" } } } };

const { data, response } = await client.messages.create(plain).withResponse();
assert.equal(data.content[0].text, "forty-two");
assert.ok(Number(response.headers.get("x-macroslow-cost-usd")) > 0);
assert.ok(response.headers.get("x-request-id"));

const streamed = await client.messages.stream(plain).finalMessage();
assert.equal(streamed.content[0].text, "forty-two");
assert.deepEqual(streamed.usage.output_tokens, data.usage.output_tokens);

const question = { role: "user", content: 'Call the tool look with {"at": "the sky"}' };
const first = await client.messages.create({ ...plain, messages: [question], tools: [look] });
const [called] = first.content;
assert.deepEqual([called.name, called.input], ["look", { at: "the sky" }]);
const result = { type: "tool_result", tool_use_id: called.id, content: "blue" };
const turns = [question, { role: "assistant", content: first.content }, { role: "user", content: [result] }];
const second = await client.messages.stream({ ...plain, messages: turns, tools: [look] }).finalMessage();
assert.equal(second.stop_reason, "end_turn");

const counted = await client.messages.countTokens({ model, messages });
assert.equal(counted.input_tokens, data.usage.input_tokens);

const listed = [];
for await (const one of client.models.list()) listed.push(one.id);
assert.ok(listed.includes(model));

const poor = new Anthropic({ apiKey: process.env.POOR_KEY });
for (const [who, changed, problem] of [
  [client, { model: "claude-99" }, { name: Anthropic.NotFoundError, status: 404, code: "model-not-found" }],
  [client, { top_q: 1 }, { name: Anthropic.BadRequestError, status: 400, code: "invalid-model-request" }],
  [poor, {}, { name: Anthropic.APIError, status: 402, code: "budget-exhausted" }],
]) {
  await assert.rejects(who.messages.create({ ...plain, ...changed }), (error) => {
    assert.ok(error instanceof problem.name);
    assert.deepEqual([error.status, error.error.error.code], [problem.status, problem.code]);
    return true;
  });
}
