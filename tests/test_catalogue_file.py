"""The list of models on disk: for the login and the version it was asked for with, and for no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import LogLevel, globalLogPublisher

from chatmock.catalogue_file import CatalogueFile
from chatmock.providers.chatgpt.models import read_models
from tests.conftest import fired

NOW = 1_785_060_000.0
BODY = json.dumps({"models": [{"slug": "gpt-x", "visibility": "list", "é": None}], "more": 1}).encode()


@attrs.define
class Setup:
    path: Path
    account: str = "account-1"
    held: list[Callable[[], None]] | None = None
    """Calls of the thread that are held back; None while they run at once."""
    file: CatalogueFile = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.file = self.again()

    def again(self, version: str = "1.0") -> CatalogueFile:
        """As after a restart."""
        return CatalogueFile(self.path, lambda: self.account, version, lambda: NOW, self._in_thread)

    def _in_thread(self, call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        if self.held is None:
            return maybeDeferred(call, *arguments)
        done: Deferred[Any] = Deferred()
        self.held.append(lambda: maybeDeferred(call, *arguments).chainDeferred(done))
        return done


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path / "state" / "models.json")


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    found: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        if event["log_level"] is LogLevel.warn and "why" in event:
            found.append(str(event["why"]))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def test_what_is_kept_is_recalled_after_a_restart(setup: Setup) -> None:
    assert setup.file.recall() is None
    assert not setup.path.parent.exists()
    setup.file.keep(BODY, '"tag"')
    recalled = setup.again().recall()
    assert recalled is not None
    body, etag = recalled
    assert etag == '"tag"'
    assert read_models(body) == read_models(BODY)
    assert json.loads(body) == {
        "fetched_at": NOW,
        "etag": '"tag"',
        "client_version": "1.0",
        "account_id": "account-1",
        "models": json.loads(BODY)["models"],
    }
    assert setup.path.stat().st_mode & 0o777 == 0o600


def test_it_is_for_the_account_that_is_logged_in_now(setup: Setup) -> None:
    setup.file.keep(BODY, "")
    setup.account = "account-2"
    assert setup.file.recall() is None
    setup.account = ""
    assert setup.file.recall() is None
    setup.account = "account-1"
    assert setup.file.recall() is not None


def test_it_is_for_the_version_it_was_asked_with(setup: Setup) -> None:
    setup.file.keep(BODY, "")
    assert setup.again("1.1").recall() is None
    assert setup.again("1.0").recall() is not None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"models": []}'])
def test_a_damaged_file_is_none(setup: Setup, content: bytes) -> None:
    setup.path.parent.mkdir()
    setup.path.write_bytes(content)
    assert setup.file.recall() is None


def test_a_tag_that_is_none_is_empty(setup: Setup) -> None:
    setup.file.keep(BODY, "")
    kept = json.loads(setup.path.read_bytes())
    for etag in (None, 5):
        setup.path.write_text(json.dumps({**kept, "etag": etag}))
        recalled = setup.file.recall()
        assert recalled is not None
        assert recalled[1] == ""


def test_the_stop_waits_for_what_is_being_written(setup: Setup) -> None:
    fired(Deferred.fromCoroutine(setup.file.stop()))
    setup.held = []
    setup.file.keep(BODY, "")
    stopping = Deferred.fromCoroutine(setup.file.stop())
    assert not stopping.called
    assert not setup.path.exists()
    setup.held.pop()()
    fired(stopping)
    assert setup.path.exists()


def test_a_list_that_cannot_be_kept_is_told_and_no_more(setup: Setup, warnings: list[str]) -> None:
    setup.path.mkdir(parents=True)
    setup.file.keep(BODY, "")
    assert len(warnings) == 1
    fired(Deferred.fromCoroutine(setup.file.stop()))
    assert setup.file.recall() is None
