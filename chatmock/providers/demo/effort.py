"""How hard the demo tries to make an example: schemas come from clients, so the work on one has a bound."""

from __future__ import annotations

MOST_STEPS = 200_000
"""Steps spent on the schemas of one request, each a microsecond or two."""


class ImpossibleError(Exception):
    """No such value can be made here; elsewhere in the schema there may be another way. Says why."""


class ExhaustedError(Exception):
    """The bound on the work is reached: there is no other way to be tried."""


class Effort:
    """Counts down the steps that may still be spent."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self._left = steps

    def spend(self, steps: int = 1) -> None:
        """Take *steps* off.

        :raises ExhaustedError: when there are not as many left.
        """
        self._left -= steps
        if self._left < 0:
            raise ExhaustedError
