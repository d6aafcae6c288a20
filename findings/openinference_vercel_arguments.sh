#!/bin/sh
# @arizeai/openinference-vercel 2.8.1 with ai 6.0.326: the arguments of a tool call are encoded as JSON
# twice where the model makes it, and once where the same call stands in the next request:
#
#   llm.output_messages.0...tool_call.function.arguments   "{\"order_id\":\"A-17\"}"   (a JSON text)
#   llm.input_messages.1...tool_call.function.arguments    {"order_id":"A-17"}         (an object)
#
# No definitions of tools are recorded (llm.tools), though the SDK's own span has them.
#
# Who is hit: whoever reads arguments gets a text instead of an object, also for good calls; a check
# against the schema of the tool fails for each call, a check for valid JSON for none.
# Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --silent --no-audit --no-fund --no-save \
    "ai@6.0.326" "zod@4.6.7" "@arizeai/openinference-vercel@2.8.1" \
    "@opentelemetry/api@1.9.1" "@opentelemetry/sdk-trace-node@2.12.1" > /dev/null || exit 2
cat > "$folder/arguments.mjs" <<'JAVASCRIPT'
import { OpenInferenceSimpleSpanProcessor } from "@arizeai/openinference-vercel";
import { InMemorySpanExporter, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { generateText, stepCountIs, tool } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { z } from "zod";

const exporter = new InMemorySpanExporter();
const processor = new OpenInferenceSimpleSpanProcessor({ exporter });
new NodeTracerProvider({ spanProcessors: [processor] }).register();

const usage = {
  inputTokens: { total: 9, noCache: 9, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 5, text: 5, reasoning: 0 },
};
const input = '{"order_id":"A-17"}';
const turn = (content, finish) => ({
  content: [content],
  finishReason: { unified: finish, raw: finish },
  usage,
  warnings: [],
});
await generateText({
  model: new MockLanguageModelV3({
    doGenerate: [
      turn({ type: "tool-call", toolCallId: "call_1", toolName: "get_order", input }, "tool-calls"),
      turn({ type: "text", text: "It was shipped on Monday." }, "stop"),
    ],
  }),
  prompt: "where is my order?",
  stopWhen: stepCountIs(5),
  experimental_telemetry: { isEnabled: true },
  tools: {
    get_order: tool({
      inputSchema: z.object({ order_id: z.string() }),
      execute: async () => "shipped",
    }),
  },
});
const [first, second] = exporter
  .getFinishedSpans()
  .map((span) => span.attributes)
  .filter((attributes) => attributes["ai.operationId"] === "ai.generateText.doGenerate");
const recorded = (attributes, message) =>
  attributes[`llm.${message}.message.tool_calls.0.tool_call.function.arguments`];
const output = recorded(first, "output_messages.0");
const history = recorded(second, "input_messages.1");
const declared = Object.keys(first).filter((name) => name.startsWith("llm.tools"));
console.log(`output message: ${output}`);
console.log(`input message of the next call: ${history}`);
console.log(`llm.tools: ${declared.length}, ai.prompt.tools: ${first["ai.prompt.tools"].length}`);
const asStated =
  output === JSON.stringify(input) &&
  history === input &&
  declared.length === 0 &&
  first["ai.prompt.tools"].length === 1;
if (!asStated) {
  console.error("The behaviour has changed.");
  process.exit(1);
}
JAVASCRIPT
env -i HOME="$folder" PATH="$PATH" node "$folder/arguments.mjs" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
