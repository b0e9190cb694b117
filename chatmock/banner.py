"""What the daemon says when it has started. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chatmock import __version__


def banner(
    urls: Sequence[str],
    default: str,
    usable: Sequence[str],
    missing: Iterable[tuple[str, str]],
    model: str | None,
    needs_token: bool,
    notices: Sequence[str] = (),
    ollama_url: str | None = None,
) -> str:
    """The start message.

    :param urls: where it listens, without a path. *default*: the provider for requests that name none.
    :param usable: every usable provider. *missing*: the others, each with what to do about it.
    :param model: for the example; None for requests without one.
    :param needs_token: whether clients must show a key: the owner's access token or a named one.
    :param notices: what the owner should know besides, a line each.
    :param ollama_url: where Ollama's clients are answered besides, without a path.
    """
    lines = [f"chatmock {__version__} listens on {', '.join(f'{url}/v1' for url in urls)}"]
    if ollama_url is not None:
        lines.append(f"for Ollama's clients: {ollama_url}")
    others = [name for name in usable if name != default]
    lines.append(f"answers from: {default} (default){''.join(f', {name}' for name in others)}")
    lines.extend(f"not usable:   {name} ({what})" for name, what in missing)
    lines.extend(f"note:         {notice}" for notice in notices)
    if urls:
        lines.extend(["try it:", *_snippet(urls[0], model, needs_token)])
    return "\n".join(lines)


def _snippet(url: str, model: str | None, needs_token: bool) -> Sequence[str]:
    named = f'"model":"{model}",' if model else ""
    token = ' -H "Authorization: Bearer $KEY"' if needs_token else ""
    return (
        f"  curl -s {url}/v1/chat/completions -H 'Content-Type: application/json'{token} \\",
        f'    -d \'{{{named}"messages":[{{"role":"user","content":"Hello!"}}]}}\'',
    )
