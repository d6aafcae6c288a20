#!/bin/sh
# @arizeai/openinference-vercel 2.8.1 with ai 6.0.326 and version 2 of the OpenTelemetry SDK: once a
# tool has failed, its status and message are copied to every span that ends later in the same trace,
# also to model calls and tools that succeeded:
#
#   step 1   model call OK, tool "refund" ERROR "payment service did not commit"
#   step 2   model call ERROR "payment service did not commit", tool "look_up" the same
#   step 3   model call the same;   the run itself: the same
#
# Such copies are meant for the root span. Which span is the root is read from "parentSpanId", which spans
# of version 2 of the SDK no longer have, so that all of them pass for roots.
#
# Who is hit: one failure, which the agent may well have dealt with, is counted as many; error rates of
# models and of other tools go up with it. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --silent --no-audit --no-fund --no-save \
    "ai@6.0.326" "zod@4.6.7" "@arizeai/openinference-vercel@2.8.1" \
    "@opentelemetry/api@1.9.1" "@opentelemetry/sdk-trace-node@2.12.1" > /dev/null || exit 2
cat > "$folder/status.mjs" <<'JAVASCRIPT'
import { OpenInferenceSimpleSpanProcessor } from "@arizeai/openinference-vercel";
import { SpanStatusCode } from "@opentelemetry/api";
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
const call = (toolName) => ({
  content: [{ type: "tool-call", toolCallId: toolName, toolName, input: "{}" }],
  finishReason: { unified: "tool-calls", raw: "tool_calls" },
  usage,
  warnings: [],
});
const answer = {
  content: [{ type: "text", text: "The refund did not work." }],
  finishReason: { unified: "stop", raw: "stop" },
  usage,
  warnings: [],
};
await generateText({
  model: new MockLanguageModelV3({ doGenerate: [call("refund"), call("look_up"), answer] }),
  prompt: "refund my order",
  stopWhen: stepCountIs(5),
  experimental_telemetry: { isEnabled: true },
  tools: {
    refund: tool({
      inputSchema: z.object({}),
      execute: async () => {
        throw new Error("payment service did not commit");
      },
    }),
    look_up: tool({ inputSchema: z.object({}), execute: async () => "shipped" }),
  },
});
const seen = exporter.getFinishedSpans().map((span) => [
  span.attributes["ai.toolCall.name"] ?? span.attributes["ai.operationId"],
  SpanStatusCode[span.status.code],
  span.status.message ?? "",
].join(" ").trim());
console.log(seen.join("\n"));
const error = "ERROR payment service did not commit";
const expected = [
  "ai.generateText.doGenerate OK",
  `refund ${error}`,
  `ai.generateText.doGenerate ${error}`,
  `look_up ${error}`,
  `ai.generateText.doGenerate ${error}`,
  `ai.generateText ${error}`,
];
if (seen.join("\n") !== expected.join("\n")) {
  console.error("The behaviour has changed.");
  process.exit(1);
}
JAVASCRIPT
env -i HOME="$folder" PATH="$PATH" node "$folder/status.mjs" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
