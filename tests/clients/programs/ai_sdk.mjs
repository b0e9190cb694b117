// Vercel's AI SDK against the daemon: a chat and a tool round trip, whole and streamed.
// Arguments: compatible, openai (Responses) or anthropic; the daemon's URL; the model.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [kind, url, name] = process.argv.slice(2);
const require = createRequire(process.env.NODE_MODULES_OF + "/");
const load = (module) => import(pathToFileURL(require.resolve(module)));
const { generateText, streamText, tool, stepCountIs } = await load("ai");
const { z } = await load("zod");

async function model() {
  if (kind === "compatible") {
    const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
    return createOpenAICompatible({ name: "chatmock", baseURL: `${url}/v1`, apiKey: "key" })(name);
  }
  if (kind === "openai") {
    const { createOpenAI } = await load("@ai-sdk/openai");
    return createOpenAI({ baseURL: `${url}/v1`, apiKey: "key" })(name);
  }
  const { createAnthropic } = await load("@ai-sdk/anthropic");
  return createAnthropic({ baseURL: `${url}/v1`, apiKey: "key" })(name);
}

const chat = await model();
const tools = {
  weather: tool({
    description: "The weather in a place.",
    inputSchema: z.object({ place: z.string() }),
    execute: async ({ place }) => `${place}: 21 degrees`,
  }),
};
const order = { model: chat, tools, prompt: "Weather in Rome? Now use the tool.", stopWhen: stepCountIs(3), maxRetries: 0 };
const streamed = async (options) => {
  let text = "";
  for await (const part of streamText({ maxRetries: 0, ...options }).fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "start-step") text = "";
    if (part.type === "text-delta") text += part.text;
  }
  return text;
};
console.log(
  JSON.stringify({
    whole: (await generateText({ model: chat, prompt: "Hello", maxRetries: 0 })).text,
    streamed: await streamed({ model: chat, prompt: "Hello" }),
    "whole tool": (await generateText(order)).text,
    "streamed tool": await streamed(order),
  }),
);
