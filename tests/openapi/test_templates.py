"""The access line tells the route, not the path."""

from __future__ import annotations

import pytest

from chatmock.openapi import NO_ROUTE, template_of


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/models", "/v1/models"),
        ("/v1/models/gpt-5", "/v1/models/{name}"),
        ("/v1/models/openrouter/a/b", "/v1/models/{name}"),
        ("/api/providers/qwen/heal", "/api/providers/{name}/heal"),
        ("/", "/"),
        ("/v1/models/", NO_ROUTE),
        ("/v1/sk-secret", NO_ROUTE),
        ("/api/providers/qwen", NO_ROUTE),
        ("", NO_ROUTE),
        ("*", NO_ROUTE),
    ],
)
def test_the_template_of_a_path(path: str, template: str) -> None:
    assert template_of(path) == template
