"""What the process itself does so that no secret leaves it: no core dump, no look from outside, a clean environment
(spec security.md, P40, P41).

It starts no other process, so there is no environment to hand down either.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import MutableMapping
from typing import Final

from chatmock.settings import declarations

_PR_SET_DUMPABLE: Final = 4


def harden(environ: MutableMapping[str, str]) -> None:
    """Do all of it, once the settings have been read from *environ*, which is :data:`os.environ`."""
    forget_secrets(environ)
    refuse_dumps()


def refuse_dumps() -> None:
    """Have no core written of this process, and no other process of the same user look into it.

    The limit alone would not do: a system that pipes cores into a program of its own, as most do, ignores it. What is
    not dumpable has its files in ``/proc`` owned by root, but for this process itself: its open files, limits and sizes
    stay readable, and debuggers and profilers need root.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def forget_secrets(environ: MutableMapping[str, str]) -> None:
    """Take every secret setting out of *environ*, and out of the memory that the system shows of it.

    Removing a variable only removes the way to it: ``/proc/PID/environ`` goes on showing the block of memory that the
    process was started with. So the text is overwritten there first.
    """
    for declaration in declarations():
        for name in declaration.environment if declaration.secret else ():
            if name in environ:
                _overwrite(name)
                del environ[name]


def _overwrite(name: str) -> None:
    """Put zeros in the place of the value of the process's own variable *name*, if it has one."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    address = getenv(os.fsencode(name))
    if address:
        ctypes.memset(address, 0, len(ctypes.string_at(address)))
