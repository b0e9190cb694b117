"""The options of `chatmock serve` and of the twistd plugin, made from the declarations of the settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from twisted.python import usage

from chatmock.settings import Declaration, SettingError, Settings, declarations, load
from chatmock.settings.values import FileName

__all__ = ["ServeOptions"]

_FLAGGED = {each.flag: each for each in declarations() if each.flag is not None}


def _help(declaration: Declaration) -> str:
    """What `--help` says: the meaning, and in brackets default and variables."""
    default = declaration.render(declaration.default)
    notes = [
        f"default: {default}" if default else "",
        ", ".join(declaration.environment),
    ]
    return f"{declaration.meaning} [{'; '.join(filter(None, notes))}]"


def _read_file(path: str) -> bytes:
    # Path.expanduser() would raise for a user nobody knows, where this leaves a file that is not found.
    return Path(os.path.expanduser(path)).read_bytes()  # noqa: PTH111


def _completions() -> usage.Completions:
    actions: dict[str, usage.Completer] = {}
    for flag, each in _FLAGGED.items():
        if each.choices:
            actions[flag] = usage.CompleteList(list(each.choices))
        elif isinstance(each.kind, FileName):
            actions[flag] = usage.CompleteFiles()
    repeatable = [flag for flag, each in _FLAGGED.items() if each.repeatable]
    return usage.Completions(optActions=actions, multiUse=repeatable)


class ServeOptions(usage.Options):
    """One option for every setting that is no secret; under its flag as key, None where it was not given.

    Parsing looks at the arguments alone. `settings` adds the environment and the file, and is where bad
    values are found.
    """

    optFlags: ClassVar = [[flag, None, _help(each)] for flag, each in _FLAGGED.items() if each.switch]
    optParameters: ClassVar = [
        [flag, None, None, _help(each)]
        for flag, each in _FLAGGED.items()
        if not each.switch and not each.repeatable
    ]
    compData = _completions()
    longdesc = (
        "Each option can also be given by the environment variable named in brackets, or in the TOML file "
        "of --config under its own name with underscores for dashes (--endpoint: endpoints). The first of "
        "option, variable, file counts. API keys and other secrets are no options, since everybody on the "
        "machine can read those: give them in the environment or the file."
    )

    def __init__(self) -> None:
        super().__init__()
        # A flag not given would be 0 here, which is how a flag turned off looks.
        self.update(dict.fromkeys(_FLAGGED))

    def given(self) -> dict[str, object]:
        """The options that were given, by name of the setting: booleans, texts, lists of texts."""
        return {
            each.name: bool(self[flag]) if each.switch else self[flag]
            for flag, each in _FLAGGED.items()
            if self[flag] is not None
        }

    def settings(
        self, environ: Mapping[str, str], read_file: Callable[[str], bytes] = _read_file
    ) -> Settings:
        """All settings, from these options, then `environ`, then the file, then the defaults.

        `read_file` gets the file's path as it was given. Raises `usage.UsageError` with the one line of a
        `SettingError`.
        """
        try:
            return load(self.given(), environ, read_file)
        except SettingError as error:
            message = str(error)
        raise usage.UsageError(message)


def _repeated(flag: str) -> Callable[[ServeOptions, str], None]:
    """The handler of an option each use of which adds one item."""

    def handler(self: ServeOptions, value: str) -> None:
        self[flag] = [*(self[flag] or []), value]

    handler.__doc__ = _help(_FLAGGED[flag])
    return handler


def _negated(flag: str) -> Callable[[ServeOptions], None]:
    """The handler of the option that turns `flag` off; of several uses of the two the last one counts."""

    def handler(self: ServeOptions) -> None:
        self[flag] = 0

    handler.__doc__ = f"the opposite of --{flag}"
    return handler


# usage.Options finds its handlers by the names of methods.
for _flag, _each in _FLAGGED.items():
    _method = _flag.replace("-", "_")
    if _each.repeatable:
        setattr(ServeOptions, f"opt_{_method}", _repeated(_flag))
    if _each.negatable:
        setattr(ServeOptions, f"opt_no_{_method}", _negated(_flag))
