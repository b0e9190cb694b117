"""``GET /metrics``: read by the client library's own parser, as a real daemon answers it."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chatmock.settings import Secret
from tests.conftest import KEY, Daemon, Start, until
from tests.test_admitting import http
from tests.test_lifetimes import FOREVER, post
from tests.upstreams.openai_server import OpenAIServer


async def figures(daemon: Daemon) -> dict[tuple[str, ...], float]:
    """The value of each sample, by its name and the values of its labels, in the order of their names."""
    answer = await http(daemon, "GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.body.decode())
    return {
        (sample.name, *(sample.labels[each] for each in sorted(sample.labels))): sample.value
        for each in families
        for sample in each.samples
    }


async def test_the_queue(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret(KEY))
    upstream.reply(FOREVER, pause=0.01)
    idle = await figures(daemon)
    assert (idle["chatmock_permits",], idle["chatmock_permits_held",], idle["chatmock_queue_waiting",]) == (
        1,
        0,
        0,
    )
    clients = [await post(daemon, stream=True) for _ in range(3)]
    await until(lambda: (daemon.service.slots.held, daemon.service.slots.waiting) == (1, 2))
    busy = await figures(daemon)
    assert (busy["chatmock_permits_held",], busy["chatmock_queue_waiting",]) == (1, 2)
    assert busy["chatmock_queue_clients",] == 1
    assert busy["chatmock_queue_limit",] == 100
    for client in clients:
        client.leave()
    await until(lambda: (daemon.service.slots.held, daemon.service.slots.waiting) == (0, 0))


async def test_the_providers(start: Start, upstream: OpenAIServer) -> None:
    daemon = start(
        provider="compatible", compatible_base_url=upstream.url, compatible_api_key=Secret("wrong")
    )
    assert (await figures(daemon))["chatmock_provider_cooldown_seconds", "compatible"] == 0

    def refused(sdk: openai.OpenAI) -> Any:
        with pytest.raises(openai.AuthenticationError):
            sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}])

    await daemon.ask(refused)
    told = await figures(daemon)
    assert 0 < told["chatmock_provider_cooldown_seconds", "compatible"] <= 60
    assert told["chatmock_upstream_errors_total", "unauthenticated", "compatible"] == 1


async def test_they_need_a_key_as_everything(start: Start) -> None:
    daemon = start(require_auth=True, access_token=Secret("s3cret"))
    assert (await http(daemon, "GET", "/metrics")).status == 401
