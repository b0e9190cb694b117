"""chatmock: one daemon on the LAN that answers OpenAI clients from the owner's own accounts."""

__version__ = "0.1.0"
