"""Every setting of the daemon, each declared once: its default, names, kind, unit and meaning.

From a field of `Settings` follow the flag of `chatmock serve` and `twistd chatmock`, the environment
variables, the key in the TOML file, and the row of the README's table. Pure: nothing here reads the
environment or a file by itself, and a `Settings` that exists holds allowed values only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from chatmock.settings.accounts import PROVIDERS
from chatmock.settings.addresses import is_this_machine_at, loopback_port
from chatmock.settings.protection import ProtectionSettings
from chatmock.settings.secrets import Secret
from chatmock.settings.sources import DECLARATION, Declaration, SettingError, Source, collect, named

__all__ = [
    "PROVIDERS",
    "Declaration",
    "Secret",
    "SettingError",
    "Settings",
    "Source",
    "declarations",
    "load",
    "markdown_table",
]


def _frozen(given: Mapping[str, Source]) -> Mapping[str, Source]:
    return MappingProxyType(dict(given))


@attrs.frozen(kw_only=True)
class Settings(ProtectionSettings):
    """All settings, allowed each by itself and all together; raises `SettingError` where they are not."""

    given: Mapping[str, Source] = attrs.field(default={}, converter=_frozen, eq=False, repr=False)
    """Where each setting was given, by name; what is not there has its default."""

    def __attrs_post_init__(self) -> None:
        _check_together(self)


@functools.cache
def declarations() -> Sequence[Declaration]:
    """All declarations, those of the daemon first, then by provider."""
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(Settings)
    found = [named(each.metadata[DECLARATION], each.name) for each in fields if DECLARATION in each.metadata]
    return tuple(sorted(found, key=lambda each: each.provider is not None))


def _missing(settings: Settings, provider: str) -> Sequence[str]:
    """The variables of what `provider` needs and has not."""
    return [
        each.environment[0]
        for each in declarations()
        if each.provider == provider and each.needed and getattr(settings, each.name) is None
    ]


def _listens_on_port(settings: Settings) -> bool:
    """Whether host and port are listened on, which endpoints may take the place of."""
    with_tls = settings.tls_cert is not None and not any(
        each.startswith("tls:") for each in settings.endpoints
    )
    return not settings.endpoints or settings.tls_port is not None or with_tls


def _check_together(settings: Settings) -> None:
    """Raises `SettingError` for settings that need another one, saying where they were given."""

    def told(name: str) -> Source:
        variable = next(each.environment[0] for each in declarations() if each.name == name)
        return settings.given.get(name, Source(variable))

    if settings.provider is not None and (missing := _missing(settings, settings.provider)):
        raise SettingError(f"{told('provider').stating(settings.provider)} needs {' and '.join(missing)}")
    if settings.tls_cert is not None and settings.tls_key is None:
        raise SettingError(f"{told('tls_cert')} needs CHATMOCK_TLS_KEY")
    if settings.tls_key is not None and settings.tls_cert is None:
        raise SettingError(f"{told('tls_key')} needs CHATMOCK_TLS_CERT")
    if settings.tls_port is not None and settings.tls_cert is None:
        raise SettingError(f"{told('tls_port')} needs CHATMOCK_TLS_CERT and CHATMOCK_TLS_KEY")
    own = {settings.tls_port, settings.port if _listens_on_port(settings) else None} - {None, 0}
    if settings.ollama_port in own:
        raise SettingError(
            f"{told('ollama_port').stating(str(settings.ollama_port))} is a port that chatmock listens on already:"
            " give it one of its own"
        )
    listened = {*own, settings.ollama_port, *map(loopback_port, settings.endpoints)}
    if settings.ollama_upstream is not None and is_this_machine_at(settings.ollama_upstream, listened):
        raise SettingError(
            f"{told('ollama_upstream')} is where chatmock itself listens: move the real Ollama to another port"
            " (OLLAMA_HOST=127.0.0.1:11435, say) and give its address"
        )


def load(
    flags: Mapping[str, object], environ: Mapping[str, str], read_file: Callable[[str], bytes]
) -> Settings:
    """The settings from flags, else the environment, else the TOML file, else the defaults.

    `flags` is named by setting, not by flag; None there means not given. `read_file` gets the path of
    `config` as written, and may raise `OSError`. Raises `SettingError`.
    """
    found = collect(declarations(), flags, environ, read_file)
    values: dict[str, Any] = {
        each.name: each.read(found[each.name].raw, found[each.name].source)
        for each in declarations()
        if each.name in found
    }
    return Settings(**values, given={name: each.source for name, each in found.items()})


def markdown_table() -> str:
    """The README's table of all settings, with a line end."""
    rows = ["| option | environment | file key | default | meaning |", "|---|---|---|---|---|"]
    for each in declarations():
        default = each.render(each.default)
        cells = [
            _option(each),
            ", ".join(f"`{name}`" for name in each.environment),
            f"`{each.name}`" if each.in_file else "-",
            f"`{default}`" if default else "-",
            each.meaning,
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _option(declaration: Declaration) -> str:
    if declaration.flag is None:
        return "-"
    flag = f"`--{'[no-]' if declaration.negatable else ''}{declaration.flag}`"
    return f"{flag} (repeatable)" if declaration.repeatable else flag
