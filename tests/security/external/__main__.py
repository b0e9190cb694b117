"""Run the judges whose programs are there: ``python -m tests.security.external [NAME ...]``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tests.security.external import browser, fronts, schemathesis_run, slow, tls
from tests.security.external.judging import FAULT, Row, report

JUDGES: Final[dict[str, Callable[[], Iterator[Row]]]] = {
    "tls": tls.judge,
    "fronts": fronts.judge,
    "browser": browser.judge,
    "slow": slow.judge,
    "schemathesis": schemathesis_run.judge,
}


def _rows(name: str) -> Iterator[Row]:
    """Its findings; a judge that breaks down has found a fault too."""
    begun = time.monotonic()
    try:
        yield from JUDGES[name]()
    except Exception as error:  # noqa: BLE001  # the others are still to be heard
        yield Row(name, FAULT, f"broke down after {time.monotonic() - begun:.0f} s: {error!r}")


def main(wanted: Sequence[str]) -> int:
    """Run those *wanted*, or all; 1 when any has found a fault."""
    unknown = set(wanted) - set(JUDGES)
    if unknown:
        print(f"There is no judge {', '.join(sorted(unknown))}; there are {', '.join(JUDGES)}.")
        return 2
    return max(report(_rows(name)) for name in wanted or JUDGES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
