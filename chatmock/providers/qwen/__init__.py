"""Qwen: the web chat at chat.qwen.ai, a private API asked with the owner's own login (spec upstreams.md, A1)."""
