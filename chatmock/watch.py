"""Watches how a provider answers, by the clock: what :mod:`chatmock.health` decides, with its times, its login and its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatmock.conditions import Condition
from chatmock.errors import Refusal
from chatmock.events import Failed, Finished
from chatmock.health import Health, Trial


def _always_the_same() -> object:
    """A key out of the settings stays what it is."""
    return None


class Watch:
    """The health of one provider, kept by what its calls bring.

    A provider that is left alone is not stood in for by another one, even where it is the default: that would spend an
    account which nobody has named.

    :param name: what users select it by. *title*: what people call it.
    :param most: the longest cooldown in seconds.
    :param wall_clock: the Unix time, for messages and for resets that are told as a time.
    :param login: something that is another one after a new login.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        title: str,
        most: float,
        clock: IReactorTime,
        wall_clock: Callable[[], float],
        login: Callable[[], object] = _always_the_same,
    ) -> None:
        self._name = name
        self._health = Health(name, title, most)
        self._clock = clock
        self._wall_clock = wall_clock
        self._login = login
        self.errors: Counter[str] = Counter()
        """How often it has refused or failed, by the refusal's kind in words."""
        self._seen_login: object = None
        """That of the last refusal that left something alone."""

    def enter(self, model: str, asker: object) -> Trial:
        """Let a request for *model* through, of which the other methods are to be told what becomes.

        :param asker: an object that all tries of the request have and no other does.
        :raises Refusal: as the provider refused, while it is left alone.
        """
        self._look_at_login()
        return self._health.enter(model, self._clock.seconds(), self._wall_clock(), asker)

    def check(self, model: str) -> None:
        """See that a request for *model* would be let through now, before it waits for its turn.

        :raises Refusal: as :meth:`enter`.
        """
        self._look_at_login()
        self._health.check(model, self._clock.seconds(), self._wall_clock())

    def failed(self, trial: Trial, error: BaseException) -> None:
        """There is no answer; only a refusal says something of the provider."""
        if not isinstance(error, Refusal):
            self._health.left(trial)
            return
        self.errors[error.kind.words] += 1
        self._look_at_login()
        before = self._now()
        self._health.refused(trial, error, self._clock.seconds(), self._wall_clock())
        if self._now():
            self._seen_login = self._login()
        self._tell(before)

    def opened(self, trial: Trial) -> None:
        """An answer has begun."""
        if self._health.well:
            return
        before = self._now()
        self._health.opened(trial)
        self._tell(before)

    def closed(self, trial: Trial, outcome: Finished | Failed | None) -> None:
        """The answer has ended; without an outcome it was left."""
        if isinstance(outcome, Failed):
            self.failed(trial, outcome.refusal)
        elif outcome is None:
            self._health.left(trial)
        elif not self._health.well:
            before = self._now()
            self._health.succeeded(trial)
            self._tell(before)

    @property
    def exhausted(self) -> bool:
        """Whether it is left alone because usage was used up, so that news of it matter."""
        return self._health.exhausted

    def has_usage(self) -> None:
        """The provider tells that there is usage left."""
        before = self._now()
        self._health.clear_exhausted()
        self._tell(before)

    def conditions(self) -> Mapping[str | None, Condition]:
        """What is not asked now, by model; None for the provider as a whole."""
        self._look_at_login()
        return self._now()

    def heal(self) -> Mapping[str | None, Condition]:
        """Let everybody through, by the owner's command; gives what was not asked until now."""
        before = self._now()
        self._health.clear()
        self._tell(before)
        return before

    def _now(self) -> Mapping[str | None, Condition]:
        return self._health.conditions(self._clock.seconds())

    def _look_at_login(self) -> None:
        """Where there is another login than the last refusal's, what was refused says nothing of it."""
        before = self._now()
        if before and self._login() != self._seen_login:
            self._health.clear()
            self._tell(before)

    def _tell(self, before: Mapping[str | None, Condition]) -> None:
        """Log what has changed."""
        after = self._now()
        for key in {*before, *after}:
            then, now = before.get(key), after.get(key)
            which = self._name if key is None else f"{self._name} ({key!r})"
            if now is None:
                self.log.info("{which} is asked again", which=which)
            elif then is None or now.left > then.left:
                self.log.warn(
                    "{which} is left alone for {seconds:.0f} s: {reason}",
                    which=which,
                    seconds=now.left,
                    reason=now.reason,
                )
