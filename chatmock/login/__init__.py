"""Logging in to ChatGPT: in the browser, by pasting what it says, or with a code on another device (spec chatgpt.md, 1)."""
