"""How a setting is declared, and where its value is looked for: flags, the environment, a TOML file.

Nothing here knows a single setting: `Settings` declares them with `setting`, and `collect` finds what was
given for them. The first of flag, environment and file that holds a setting decides; the others are not
even read, so a mistake in an overridden place stops nothing.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from chatmock.settings.secrets import SecretHeaders, SecretText
from chatmock.settings.values import Boolean, Kind, shown

__all__ = ["DECLARATION", "Declaration", "Found", "SettingError", "Source", "collect", "named", "setting"]

T = TypeVar("T")

DECLARATION: Final = "chatmock.setting"
"""The key of a field's metadata under which its `Declaration` is."""


class SettingError(ValueError):
    """A setting cannot be used. Its `str` is the one line for the user, never with a secret in it."""


@attrs.frozen
class Source:
    """Where a value was given: `--port`, `CHATMOCK_PORT`, or `port` in some file."""

    label: str
    place: str = ""
    """For a file: " in " and its path; else empty."""

    def __str__(self) -> str:
        return f"{self.label}{self.place}"

    def stating(self, value: str) -> str:
        """The source with the value found there: `CHATMOCK_PORT=70000`."""
        return f"{self.label}={value}{self.place}"


@attrs.frozen
class Found:
    """What was given for one setting, not read yet, and where."""

    raw: object = attrs.field(repr=False)
    source: Source


@attrs.frozen(kw_only=True, eq=False)
class Declaration:
    """Everything there is to know about one setting."""

    name: str
    """The attribute of `Settings`, and the key in the file."""
    kind: Kind[object]
    default: object
    environment: tuple[str, ...]
    """Names of variables, the first that is set and not empty counts."""
    doc: str
    unit: str
    """What a number counts; empty for other kinds."""
    flag: str | None
    """Without the dashes; None for secrets, because everybody can read a process's arguments."""
    provider: str | None
    """The provider the setting belongs to; None for those of the daemon."""
    needed: bool
    """Whether the provider cannot be used without it."""
    in_file: bool
    repeatable: bool
    """Whether each use of the flag gives one item."""

    @property
    def secret(self) -> bool:
        """Whether the value must never be shown."""
        return isinstance(self.kind, SecretHeaders | SecretText)

    @property
    def choices(self) -> Sequence[str]:
        """The accepted texts where there are only a few, else empty."""
        return self.kind.choices

    @property
    def meaning(self) -> str:
        """The doc line with the unit, unless it names it, and the choices."""
        unit = f" ({self.unit})" if self.unit and self.unit not in self.doc else ""
        choices = f": one of {', '.join(self.choices)}" if self.choices else ""
        return f"{self.doc}{unit}{choices}"

    @property
    def switch(self) -> bool:
        """Whether the flag takes no value, but turns the setting on."""
        return isinstance(self.kind, Boolean)

    @property
    def negatable(self) -> bool:
        """Whether `--no-` and the flag switches it off: so for what is on by default."""
        return self.default is True

    def read(self, raw: object, source: Source) -> object:
        """The value of `raw`, found at `source`; None only where it is the default. Raises `SettingError`."""
        if raw is None and self.default is None:
            return None
        try:
            return self.kind.read(raw)
        except ValueError as error:
            reason = f" ({error})" if str(error) else ""
            unit = f" ({self.unit})" if self.unit else ""
            stated = source.stating(self.kind.shown(raw))
        raise SettingError(f"{stated} is not allowed{reason}: give {self.kind.allowed}{unit}")

    def render(self, value: object) -> str:
        """The text which as an environment variable gives `value`; for None empty, as if not set."""
        return "" if value is None else self.kind.render(value)


def setting(
    kind: Kind[T],
    default: T,
    *environment: str,
    doc: str,
    unit: str = "",
    flag: str | None = None,
    provider: str | None = None,
    needed: bool = False,
    in_file: bool = True,
    repeatable: bool = False,
) -> T:
    """Declare a setting, as the value of a field of an attrs class; its flag follows from the field's name.

    The field runs every value through its kind, and raises `SettingError` for one that is not allowed.
    """
    declaration = Declaration(
        name="",  # known to the field only: see `named`
        kind=kind,
        default=default,
        environment=environment,
        doc=doc,
        unit=unit,
        flag=flag,
        provider=provider,
        needed=needed,
        in_file=in_file,
        repeatable=repeatable,
    )

    def convert(raw: object, field: attrs.Attribute[Any]) -> object:
        return declaration.read(raw, Source(field.name))

    field: T = attrs.field(
        default=default,
        converter=attrs.Converter(convert, takes_field=True),
        hash=False if isinstance(default, Mapping) else None,  # a mapping has no hash
        metadata={DECLARATION: declaration},
    )
    return field


def named(declaration: Declaration, name: str) -> Declaration:
    """The declaration with the name of its field, and the flag that follows from it."""
    flag = None if declaration.secret else declaration.flag or name.replace("_", "-")
    return attrs.evolve(declaration, name=name, flag=flag)


def collect(
    declarations: Collection[Declaration],
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    read_file: Callable[[str], bytes],
) -> dict[str, Found]:
    """What was given, by name of the setting. Flags are named like settings; a flag of None was not given.

    The file's path is the setting `config`. Raises `SettingError` for a name nobody knows, in the flags or
    in the file, and for a file that cannot be read or is no TOML.
    """
    given = _from_environment(declarations, environ) | _from_flags(declarations, flags)
    config = given.get("config")
    return given if config is None else _from_file(declarations, config, read_file) | given


def _from_flags(declarations: Iterable[Declaration], flags: Mapping[str, object]) -> dict[str, Found]:
    known = {each.name: each.flag for each in declarations if each.flag is not None}
    for name in flags:
        if name not in known:
            raise SettingError(f"no flag sets {_guess(name, known)}")
    return {
        name: Found(raw, Source(f"--no-{known[name]}" if raw is False else f"--{known[name]}"))
        for name, raw in flags.items()
        if raw is not None
    }


def _from_environment(declarations: Iterable[Declaration], environ: Mapping[str, str]) -> dict[str, Found]:
    found = {}
    for each in declarations:
        variable = next((name for name in each.environment if environ.get(name, "").strip()), None)
        if variable is not None:
            found[each.name] = Found(environ[variable], Source(variable))
    return found


def _from_file(
    declarations: Collection[Declaration], config: Found, read_file: Callable[[str], bytes]
) -> dict[str, Found]:
    by_name = {each.name: each for each in declarations}
    known = [each.name for each in declarations if each.in_file]
    path = str(by_name["config"].read(config.raw, config.source))
    found = {}
    for key, raw in _toml(path, config.source, read_file).items():
        if key not in known:
            reason = (
                f"{key} cannot be set inside the file"
                if key in by_name
                else f"unknown key {_guess(key, known)}"
            )
            raise SettingError(f"{shown(path)}: {reason}")
        found[key] = Found(raw, Source(key, f" in {shown(path)}"))
    return found


def _toml(path: str, named_by: Source, read_file: Callable[[str], bytes]) -> dict[str, object]:
    """The table of the file at `path`; errors say which setting named it."""
    stated = named_by.stating(shown(path))
    try:
        return tomllib.loads(read_file(path).decode("utf-8-sig"))
    except OSError as error:
        reason = f"cannot be read: {error.strerror or type(error).__name__}"
    except UnicodeDecodeError:
        reason = "is not UTF-8"
    except (ValueError, RecursionError) as error:
        reason = f"is not TOML: {' '.join(str(error).split())}"
    raise SettingError(f"{stated} {reason}")


def _guess(name: str, known: Iterable[str]) -> str:
    """`name` as shown, with the names it may have been meant for."""
    near = difflib.get_close_matches(name.replace("-", "_").lower(), sorted(known), n=3)
    return f"{shown(name)} (did you mean {' or '.join(near)}?)" if near else shown(name)
