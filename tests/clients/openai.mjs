// OpenAI's SDK for Node against a gateway. Reads OPENAI_BASE_URL and OPENAI_API_KEY as it does by itself;
// POOR_KEY is a key whose budget is used up. Ends with an error where something is not as it should be.

import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0 });
const asked = "Answer with exactly: forty-two";
const messages = [{ role: "user", content: asked }];
const parameters = { type: "object", properties: { at: { type: "string" } } };
const look = { type: "function", name: "look", parameters, strict: false };

const { data, response, request_id } = await client.chat.completions
  .create({ model: "gpt-4o-mini", messages })
  .withResponse();
assert.equal(data.choices[0].message.content, "forty-two");
assert.ok(Number(response.headers.get("x-macroslow-cost-usd")) > 0);
assert.equal(response.headers.get("x-request-id"), request_id);

let said = "";
for await (const chunk of await client.chat.completions.create({ model: "gpt-4o-mini", messages, stream: true })) {
  said += chunk.choices[0]?.delta?.content ?? "";
}
assert.equal(said, "forty-two");

const input = 'Call the tool look with {"at": "the sky"}';
const first = await client.responses.create({ model: "gpt-4o-mini", input, tools: [look] });
const [called] = first.output;
assert.deepEqual([called.name, JSON.parse(called.arguments)], ["look", { at: "the sky" }]);
const second = await client.responses
  .stream({
    model: "gpt-4o-mini",
    input: [{ type: "function_call_output", call_id: called.call_id, output: "blue" }],
    previous_response_id: first.id,
  })
  .finalResponse();
assert.match(second.output_text, /^Emulated answer/);

const whole = { model: "text-embedding-3-small", input: "the sky", dimensions: 8 };
const usual = await client.embeddings.create(whole); // asks for base64 and decodes it
const plain = await client.embeddings.create({ ...whole, encoding_format: "float" });
usual.data[0].embedding.forEach((number, at) => assert.ok(Math.abs(number - plain.data[0].embedding[at]) < 1e-6));

const listed = [];
for await (const model of client.models.list()) listed.push(model.id);
assert.ok(listed.includes("gpt-4o-mini"));

const poor = new OpenAI({ apiKey: process.env.POOR_KEY });
for (const [who, model, problem] of [
  [client, "gpt-99", { name: OpenAI.NotFoundError, status: 404, code: "model-not-found" }],
  [poor, "gpt-4o-mini", { name: OpenAI.APIError, status: 402, code: "budget-exhausted" }],
]) {
  await assert.rejects(who.chat.completions.create({ model, messages }), (error) => {
    assert.ok(error instanceof problem.name);
    assert.deepEqual([error.status, error.code], [problem.status, problem.code]);
    return true;
  });
}

const once = () =>
  client.chat.completions
    .create({ model: "gpt-4o-mini", messages }, { headers: { "Idempotency-Key": "order-9" } })
    .withResponse();
const [paid, again] = [await once(), await once()];
assert.deepEqual(paid.data.id, again.data.id);
assert.equal(again.response.headers.get("idempotency-replayed"), "true");
