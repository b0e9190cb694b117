"""Settings rendered as variables or written into a file read as the same settings, whatever they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from chatmock.settings import Declaration, Secret, SettingError, Settings, declarations, load
from chatmock.settings.addresses import BaseUrl, Host, NetworkKind, Origin
from chatmock.settings.secrets import SecretHeaders, SecretText
from chatmock.settings.values import Aliases, Boolean, Choice, FileName, Items, Kind, Number, Uuid, Whole

BY_NAME = {each.name: each for each in declarations()}

names = st.from_regex(r"\A[a-z0-9][a-z0-9./:-]{0,20}\Z")
labels = st.from_regex(r"\A[a-z][a-z0-9-]{0,10}[a-z0-9]\Z")
urls = st.builds("https://{}.test:{}{}".format, labels, st.integers(1, 65535), st.sampled_from(["", "/v1"]))
paths = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(str.strip).map(Path)

VALUES: Mapping[type[Kind[Any]], Callable[[Any], st.SearchStrategy[Any]]] = {
    Choice: lambda kind: st.sampled_from(kind.words),
    Boolean: lambda kind: st.booleans(),
    Whole: lambda kind: st.integers(kind.lowest, 10**29 if kind.highest is None else kind.highest),
    Number: lambda kind: st.floats(kind.lowest, kind.highest),
    FileName: lambda kind: paths,
    Host: lambda kind: st.ip_addresses().map(str) | labels,
    SecretText: lambda kind: st.from_regex(r"\A[!-~]( ?[!-~])*\Z" if kind.spaces else r"\A[!-~]+\Z").map(
        Secret
    ),
    BaseUrl: lambda kind: urls,
    Origin: lambda kind: st.just("*") | st.builds("https://{}.test".format, labels),
    NetworkKind: lambda kind: (st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(v=6)).map(ip_network),
    Uuid: lambda kind: st.uuids().map(str),
    SecretHeaders: lambda kind: st.dictionaries(labels, labels.map(Secret), max_size=3),
    Aliases: lambda kind: st.dictionaries(names, names, max_size=4),
}
# Of texts with a shape of their own, one each.
WORDS = {"endpoints": "tcp:{}", "chatgpt_client_id": "app-{}"}


def values_of(setting: Declaration) -> st.SearchStrategy[Any]:
    several = isinstance(setting.kind, Items)
    kind = setting.kind.item if isinstance(setting.kind, Items) else setting.kind
    if type(kind) in VALUES:
        values = VALUES[type(kind)](kind)
    else:
        values = st.builds(WORDS.get(setting.name, "model/{}").format, st.integers(0, 10**6))
    if several:
        values = st.lists(values, max_size=4).map(tuple)
    return st.none() | values if setting.default is None else values


def fit_together(values: Mapping[str, Any]) -> bool:
    """Whether each port is given once; of two that are the same, the settings refuse the second."""
    own = {values.get("port", BY_NAME["port"].default), values.get("tls_port")}
    return values.get("ollama_port") is None or values["ollama_port"] not in own - {0}


some_values = st.lists(st.sampled_from(list(BY_NAME)), unique=True, max_size=12).flatmap(
    lambda names: st.fixed_dictionaries({name: values_of(BY_NAME[name]) for name in names}).filter(
        fit_together
    )
)


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Settings of the values and of what these may need beside them."""
    needed: dict[str, Any] = {"access_token": "t", "tls_cert": Path("c"), "tls_key": Path("k")}
    needed |= {each.name: "https://a.test" for each in declarations() if each.needed}
    return Settings(**needed | {name: value for name, value in values.items() if value is not None})


def toml(value: object) -> str:
    """A value in the file's own types."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(old)} = {toml(new)}" for old, new in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    if isinstance(value, bool | int | float):
        return repr(value).lower()
    return json.dumps(value.reveal() if isinstance(value, Secret) else str(value), ensure_ascii=False)


def refusal(environ: Mapping[str, str]) -> str | None:
    try:
        load({}, environ, lambda path: b"")
    except SettingError as error:
        return str(error)
    return None


@given(some_values)
def test_settings_rendered_as_variables_read_as_the_same_settings(values: dict[str, Any]) -> None:
    settings = settings_of(values)
    environ = {each.environment[-1]: each.render(getattr(settings, each.name)) for each in declarations()}
    assert load({}, environ, lambda path: b"") == settings


@given(some_values)
def test_settings_written_into_a_file_read_as_the_same_settings(values: dict[str, Any]) -> None:
    settings = settings_of(values | {"config": Path("c.toml")})
    held = [(each.name, getattr(settings, each.name)) for each in declarations() if each.in_file]
    text = "\n".join(f"{name} = {toml(value)}" for name, value in held if value is not None)
    assert load({"config": "c.toml"}, {}, lambda path: text.encode()) == settings


@given(some_values)
def test_reading_again_what_was_read_changes_nothing(values: dict[str, Any]) -> None:
    settings = settings_of(values)
    assert attrs.evolve(settings) == settings


@given(some_values, some_values)
def test_settings_are_equal_only_with_equal_values(values: dict[str, Any], others: dict[str, Any]) -> None:
    first, second = settings_of(values), settings_of(others)
    same = all(getattr(first, name) == getattr(second, name) for name in BY_NAME)
    assert (first == second) == same


@given(st.sampled_from(list(BY_NAME)), st.text())
def test_any_text_is_a_value_or_a_refusal_of_one_line(name: str, text: str) -> None:
    beside = {
        "XAI_API_KEY": "k",
        "CHATMOCK_ACCESS_TOKEN": "t",
        "CHATMOCK_TLS_CERT": "c",
        "CHATMOCK_TLS_KEY": "k",
    }
    variable = BY_NAME[name].environment[0]
    message = refusal(beside | {variable: text})
    assert message is None or (message.isprintable() and variable in message)
