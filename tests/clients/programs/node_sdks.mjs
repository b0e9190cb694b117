// The makers' own SDKs for Node against the daemon: a chat and a tool round trip, whole and streamed.
// Arguments: openai, responses, ollama or anthropic; the daemon's URL; the model.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [kind, url, name] = process.argv.slice(2);
const require = createRequire(process.env.NODE_MODULES_OF + "/");
const load = (module) => import(pathToFileURL(require.resolve(module)));
const schema = { type: "object", properties: { place: { type: "string" } }, required: ["place"] };
const hello = [{ role: "user", content: "Hello" }];
const order = [{ role: "user", content: "Weather in Rome? Now use the tool." }];
const weather = ({ place }) => `${place}: 21 degrees`;

const sdks = {
  async openai() {
    const { default: OpenAI } = await load("openai");
    const { completions } = new OpenAI({ baseURL: `${url}/v1`, apiKey: "key", maxRetries: 0 }).chat;
    const runnable = { type: "function", function: { name: "weather", parameters: schema, parse: JSON.parse, function: weather } };
    return {
      whole: (await completions.create({ model: name, messages: hello })).choices[0].message.content,
      streamed: await completions.stream({ model: name, messages: hello }).finalContent(),
      "whole tool": await completions.runTools({ model: name, messages: order, tools: [runnable] }).finalContent(),
      "streamed tool": await completions.runTools({ model: name, messages: order, tools: [runnable], stream: true }).finalContent(),
    };
  },
  async responses() {
    const { default: OpenAI } = await load("openai");
    const { responses } = new OpenAI({ baseURL: `${url}/v1`, apiKey: "key", maxRetries: 0 });
    const tools = [{ type: "function", name: "weather", parameters: schema, strict: false }];
    const answer = (options) => responses.create({ model: name, ...options });
    const streamed = (options) => responses.stream({ model: name, ...options }).finalResponse();
    const roundTrip = async (ask) => {
      const first = await ask({ input: order, tools });
      const results = first.output
        .filter((item) => item.type === "function_call")
        .map((call) => ({ type: "function_call_output", call_id: call.call_id, output: weather(JSON.parse(call.arguments)) }));
      return (await ask({ input: results, tools, previous_response_id: first.id })).output_text;
    };
    return {
      whole: (await answer({ input: "Hello" })).output_text,
      streamed: (await streamed({ input: "Hello" })).output_text,
      "whole tool": await roundTrip(answer),
      "streamed tool": await roundTrip(streamed),
    };
  },
  async ollama() {
    const { Ollama } = await load("ollama");
    const client = new Ollama({ host: url });
    const tools = [{ type: "function", function: { name: "weather", description: "", parameters: schema } }];
    const whole = async (messages) => (await client.chat({ model: name, messages, tools })).message;
    const streamed = async (messages) => {
      const message = { role: "assistant", content: "", tool_calls: [] };
      for await (const part of await client.chat({ model: name, messages, tools, stream: true })) {
        message.content += part.message.content;
        message.tool_calls.push(...(part.message.tool_calls ?? []));
      }
      return message;
    };
    const roundTrip = async (ask) => {
      const called = await ask(order);
      const results = called.tool_calls.map(({ function: { name: tool_name, arguments: given } }) => ({
        role: "tool",
        tool_name,
        content: weather(given),
      }));
      return (await ask([...order, called, ...results])).content;
    };
    return {
      whole: (await whole(hello)).content,
      streamed: (await streamed(hello)).content,
      "whole tool": await roundTrip(whole),
      "streamed tool": await roundTrip(streamed),
    };
  },
  async anthropic() {
    const { default: Anthropic } = await load("@anthropic-ai/sdk");
    const { messages: api } = new Anthropic({ baseURL: url, apiKey: "key", maxRetries: 0 });
    const tools = [{ name: "weather", description: "", input_schema: schema }];
    const whole = (messages) => api.create({ model: name, max_tokens: 500, messages, tools });
    const streamed = (messages) => api.stream({ model: name, max_tokens: 500, messages, tools }).finalMessage();
    const text = (message) => message.content.map((block) => block.text ?? "").join("");
    const roundTrip = async (ask) => {
      const { content } = await ask(order);
      const results = content
        .filter((block) => block.type === "tool_use")
        .map((call) => ({ type: "tool_result", tool_use_id: call.id, content: weather(call.input) }));
      return text(await ask([...order, { role: "assistant", content }, { role: "user", content: results }]));
    };
    return {
      whole: text(await whole(hello)),
      streamed: text(await streamed(hello)),
      "whole tool": await roundTrip(whole),
      "streamed tool": await roundTrip(streamed),
    };
  },
};
console.log(JSON.stringify(await sdks[kind]()));
