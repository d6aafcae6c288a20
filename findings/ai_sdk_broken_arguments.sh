#!/bin/sh
# ai 6.0.326 (Vercel AI SDK): where the model's arguments for a tool are not JSON, the SDK tells the
# model so, but shows it another call than the one it made. In the next request, and in the spans
# of the run, the arguments are an empty object:
#
#   the model writes        get_order {"order_id": "A-17"
#   the next request has    get_order {}     and the result "Invalid input for tool get_order ..."
#
# Arguments that are JSON but do not fit the schema are kept as they are.
#
# Who is hit: the model, which is to mend something that it does not see, and whoever looks in a trace for
# why a call failed: it reads as a call without arguments. Exits with 1 if any of this changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --prefix "$folder" --silent --no-audit --no-fund --no-save \
    "ai@6.0.326" "zod@4.6.7" > /dev/null || exit 2
cat > "$folder/broken_arguments.mjs" <<'JAVASCRIPT'
import { generateText, stepCountIs, tool } from "ai";
import { MockLanguageModelV3 } from "ai/test";
import { z } from "zod";

const usage = {
  inputTokens: { total: 9, noCache: 9, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 5, text: 5, reasoning: 0 },
};
const turn = (content, finish) => ({
  content: [content],
  finishReason: { unified: finish, raw: finish },
  usage,
  warnings: [],
});
async function shown(input) {
  const model = new MockLanguageModelV3({
    doGenerate: [
      turn({ type: "tool-call", toolCallId: "call_1", toolName: "get_order", input }, "tool-calls"),
      turn({ type: "text", text: "done" }, "stop"),
    ],
  });
  await generateText({
    model,
    prompt: "where is my order?",
    stopWhen: stepCountIs(5),
    tools: {
      get_order: tool({
        inputSchema: z.object({ order_id: z.string() }),
        execute: async () => "shipped",
      }),
    },
  });
  const [, call, result] = model.doGenerateCalls[1].prompt;
  const told = JSON.stringify(result.content[0].output).slice(0, 60);
  const seen = JSON.stringify(call.content[0].input);
  console.log(`the model writes ${input}: shown ${seen}, result ${told}`);
  return seen;
}
const asStated =
  (await shown('{"order_id":"A-17"}')) === '{"order_id":"A-17"}' &&
  (await shown('{"order_id":17}')) === '{"order_id":17}' &&
  (await shown('{"order_id":"A-17"')) === "{}";
if (!asStated) {
  console.error("The behaviour has changed.");
  process.exit(1);
}
JAVASCRIPT
env -i HOME="$folder" PATH="$PATH" node "$folder/broken_arguments.mjs" \
    2> "$folder/log" || { tail -n 1 "$folder/log"; exit 1; }
