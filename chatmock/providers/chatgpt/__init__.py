"""ChatGPT: a plan's Codex backend, which speaks OpenAI's Responses API (spec chatgpt.md)."""
