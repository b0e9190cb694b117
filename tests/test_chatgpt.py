"""The ChatGPT provider through the real OpenAI SDK, against an issuer and a backend that refuse what the real ones do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, get_args

import attrs
import openai
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher

from chatmock.chatgpt_account import ChatGPTAccount
from chatmock.conversation import Thinking
from chatmock.settings import Secret, Settings
from chatmock.threads import Threads
from chatmock.upstream import UpstreamClient
from tests.captures import Recording, parametrised, recordings
from tests.conftest import Start, settle, until, write_login
from tests.test_recordings import cuts
from tests.upstreams.chatgpt_backend import ChatGPTBackend, Script, detail, sse
from tests.upstreams.openai_issuer import OpenAIIssuer
from tests.upstreams.playing_site import Reply

CITATION = {"type": "url_citation", "url": "https://e.test", "title": "E", "start_index": 0, "end_index": 4}
ERROR = {"type": "server_error", "code": "server_error", "message": "The model stumbled."}


@attrs.frozen
class Said:
    """What an answer says."""

    text: str = ""
    thought: str = ""
    refusal: str = ""
    calls: Sequence[tuple[str, str, str]] = ()
    finish: str = "stop"
    citations: int = 0
    late: bool = False
    """Whether it is thought after the first word."""


TOOL = ("call_a", "weather", '{"city":"Paris"}')
OTHER = ("call_b", "weather", '{"city":"Tokyo"}')
SCRIPTS: dict[str, tuple[Sequence[dict[str, Any]], Said]] = {
    "text": (Script().text("Hel", "lo").end(), Said("Hello")),
    "two summary parts": (
        Script().reasoning("Think hard.", "Then again.").text("Done").end(),
        Said("Done", "Think hard.\n\nThen again."),
    ),
    "a call without text": (
        Script().reasoning("Look.").calls(TOOL).end(),
        Said("", "Look.", calls=(TOOL,), finish="tool_calls"),
    ),
    "parallel calls": (Script().calls(TOOL, OTHER).end(), Said(calls=(TOOL, OTHER), finish="tool_calls")),
    "a call told when done": (
        Script().calls(TOOL, streamed=False).end(),
        Said(calls=(TOOL,), finish="tool_calls"),
    ),
    "text and a call": (
        Script().text("I look.").calls(TOOL).end(),
        Said("I look.", calls=(TOOL,), finish="tool_calls"),
    ),
    "web search": (
        Script().web_search().text("News", annotations=[CITATION]).end(),
        Said("News", citations=1),
    ),
    "reasoning after text": (
        Script().text("Hi ").reasoning("Late thought.").text("there").end(),
        Said("Hi there", "Late thought.", late=True),
    ),
    "refusal": (Script().refusal("I ", "cannot.").end(), Said(refusal="I cannot.")),
    "out of tokens": (
        Script().text("Half").end("incomplete", incomplete_details={"reason": "max_output_tokens"}),
        Said("Half", finish="length"),
    ),
    "filtered": (
        Script().text("Half").end("incomplete", incomplete_details={"reason": "content_filter"}),
        Said("Half", finish="content_filter"),
    ),
    "unknown events": (
        Script().add("response.dance.started", step=1).text("Hi").add("codex.rate_limits", plan="x").end(),
        Said("Hi"),
    ),
}
THINKING = tuple(form for form in get_args(Thinking) if form != "parts")  # which no OpenAI client asks for


def ask(sdk: openai.OpenAI, stream: bool, **more: Any) -> tuple[dict[str, Any], str | None, Any]:
    """Ask and add up what comes: the message, the finish reason, the usage."""
    create: Any = sdk.chat.completions.create
    asked = {"model": "gpt-5.6-sol", "messages": [{"role": "user", "content": "Hello?"}], **more}
    if not stream:
        answer = create(**asked)
        return answer.choices[0].message.model_dump(), answer.choices[0].finish_reason, answer.usage
    message: dict[str, Any] = {"content": "", "tool_calls": [], "annotations": []}
    finish, usage, roles = None, None, []
    for chunk in create(**asked, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            said = choice.delta.model_dump(exclude_unset=True)
            roles.append(said.pop("role", None))
            _add(message, said)
            assert not (choice.finish_reason and finish), "one finish"
            finish = choice.finish_reason or finish
        usage = chunk.usage or usage
    assert roles[0] == "assistant"
    assert not any(roles[1:])
    return message, finish, usage


def _add(message: dict[str, Any], said: dict[str, Any]) -> None:
    for key, value in said.items():
        if key == "tool_calls":
            for piece in value:
                if piece["index"] == len(message["tool_calls"]):
                    message["tool_calls"].append(
                        {"id": piece["id"], "function": {"name": "", "arguments": ""}}
                    )
                function = message["tool_calls"][piece["index"]]["function"]
                function["name"] += piece["function"].get("name") or ""
                function["arguments"] += piece["function"].get("arguments") or ""
        elif key == "annotations":
            message[key] += value
        elif isinstance(value, str):
            message[key] = message.get(key, "") + value
        elif isinstance(value, dict):
            held = message.setdefault(key, {"content": [{"type": "text", "text": ""}]})
            held["content"][0]["text"] += value["content"][0]["text"]


def expected(said: Said, thinking: Thinking) -> dict[str, Any]:
    """The message fields that *said* has to have in the form *thinking*."""
    fields: dict[str, Any] = {"content": said.text, "refusal": said.refusal}
    if said.thought:
        match thinking:
            case "think-tags" if said.late:
                pass
            case "think-tags":
                fields["content"] = f"<think>{said.thought}</think>{said.text}"
            case "o3":
                fields["reasoning"] = {"content": [{"type": "text", "text": said.thought}]}
            case "legacy" | "current":
                fields |= {"reasoning": said.thought, "reasoning_summary": said.thought}
            case "reasoning-content":
                fields["reasoning_content"] = said.thought
    return fields


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("thinking", THINKING)
async def test_every_script_in_every_form(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path, thinking: Thinking, stream: bool
) -> None:
    daemon = start_chatgpt(reasoning_compat=thinking)
    for name, (events, said) in SCRIPTS.items():
        backend.stream(*events)
        message, finish, usage = await daemon.ask(lambda sdk: ask(sdk, stream))
        got = {key: message.get(key) or "" for key in ("content", "refusal")}
        got |= {
            key: message[key]
            for key in ("reasoning", "reasoning_summary", "reasoning_content")
            if message.get(key)
        }
        assert got == expected(said, thinking), name
        calls = [
            (call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls") or ()
        ]
        assert calls == list(said.calls), name
        assert len(message.get("annotations") or ()) == said.citations, name
        assert finish == said.finish, name
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (20, 10, 30), name
        assert usage.prompt_tokens_details.cached_tokens == 5
        assert usage.completion_tokens_details.reasoning_tokens == 4


@pytest.mark.parametrize("stream", [True, False])
async def test_as_a_text_completion(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path, stream: bool
) -> None:
    daemon = start_chatgpt()
    for name, (events, said) in SCRIPTS.items():
        backend.stream(*events)

        def complete(sdk: openai.OpenAI) -> tuple[str, list[str]]:
            create: Any = sdk.completions.create
            answer = create(model="gpt-5.6-sol", prompt="Once", stream=stream)
            choices = [choice for one in (answer if stream else [answer]) for choice in one.choices]
            return "".join(c.text for c in choices), [c.finish_reason for c in choices if c.finish_reason]

        if said.calls:
            continue  # no tools can be offered there, so none is called
        text, finish = await daemon.ask(complete)
        assert (text, finish) == (said.text + said.refusal, [said.finish]), name


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("events", "status", "code"),
    [
        (Script().end("failed", error=ERROR), 502, "server_error"),
        ([*Script().events, {"type": "error", "error": ERROR, "sequence_number": 2}], 502, "server_error"),
        (
            [*Script().events, {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down."}],
            429,
            "rate_limit_exceeded",
        ),
        (
            Script().end("failed", error={"code": "context_length_exceeded", "message": "Too long."}),
            400,
            "context_length_exceeded",
        ),
        (Script().end(), 502, "upstream_empty"),
        (Script().events, 502, "upstream_truncated"),
    ],
)
async def test_what_fails_before_the_first_word_is_an_http_status(
    start_chatgpt: Start,
    backend: ChatGPTBackend,
    login_file: Path,
    stream: bool,
    events: Sequence[dict[str, Any]],
    status: int,
    code: str,
) -> None:
    backend.stream(*events)
    with pytest.raises(openai.APIStatusError) as caught:
        await start_chatgpt().ask(lambda sdk: ask(sdk, stream))
    assert (caught.value.status_code, caught.value.code) == (status, code)


async def test_an_empty_answer_is_asked_for_once_more(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    answers = [Script().end(), SCRIPTS["text"][0]]
    backend.answer = lambda _: Reply([sse(event) for event in answers.pop(0)])
    message, _, _ = await start_chatgpt().ask(lambda sdk: ask(sdk, True))
    assert message["content"] == "Hello"
    backend.stream(*Script().end())
    with pytest.raises(openai.APIStatusError):
        await start_chatgpt().ask(lambda sdk: ask(sdk, True))
    assert len(backend.asks()) == 4


@pytest.mark.parametrize(
    "ending",
    [
        Script().text("Half").end("failed", error=ERROR),
        [*Script().text("Half").events, {"type": "error", "error": ERROR}],
        Script().text("Half").events,
    ],
)
async def test_what_fails_later_is_an_error_record(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path, ending: Sequence[dict[str, Any]]
) -> None:
    backend.stream(*ending)
    heard: list[str] = []

    def listen(sdk: openai.OpenAI) -> None:
        for chunk in sdk.chat.completions.create(
            model="gpt-5.6-sol", messages=[{"role": "user", "content": "x"}], stream=True
        ):
            heard.append(chunk.choices[0].delta.content or "")

    with pytest.raises(openai.APIError):
        await start_chatgpt().ask(listen)
    assert "".join(heard) == "Half"


async def test_a_whole_answer_that_fails_later_is_a_status(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    backend.stream(*Script().text("Half").end("failed", error=ERROR))
    with pytest.raises(openai.InternalServerError):
        await start_chatgpt().ask(lambda sdk: ask(sdk, False))


# --- requests


async def test_what_the_backend_refuses_does_not_reach_it(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    backend.stream(*SCRIPTS["text"][0])
    daemon = start_chatgpt()

    def call(sdk: openai.OpenAI) -> Any:
        raw = sdk.chat.completions.with_raw_response.create(
            model="gpt-5.6-sol",
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": "Hi"},
                {"role": "system", "content": "Now in French."},
            ],
            temperature=0.3,
            top_p=0.5,
            max_completion_tokens=100,
            metadata={"a": "b"},
            store=True,
            user="me",
            seed=1,
            presence_penalty=1,
            frequency_penalty=1,
            service_tier="auto",
            reasoning_effort="high",
            extra_body={"truncation": "auto", "safety_identifier": "s", "background": True},
        )
        return raw.headers, raw.parse()

    headers, answer = await daemon.ask(call)
    assert answer.choices[0].message.content == "Hello"
    body = backend.asks()[-1].body
    assert body["instructions"] == "Be brief.\n\nBe kind."
    assert [item["role"] for item in body["input"]] == ["user", "developer"]
    assert body["reasoning"]["effort"] == "high"
    ignored = headers["x-chatmock-ignored"].split(", ")
    assert {"temperature", "top_p", "seed", "metadata", "background", "truncation"} <= set(ignored)
    assert "estimate" in headers["x-chatmock-max-tokens"] or "bytes" in headers["x-chatmock-max-tokens"]


async def test_a_tool_round_trip_with_an_image_and_a_long_name(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    name = "weather_" + "x" * 70
    tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}]

    def answer(asked: Any) -> Reply:
        [tool] = asked.body["tools"]
        if len(asked.body["input"]) == 1:
            events = Script().calls(("call_1", tool["name"], "{}")).end()
        else:
            _, call, output = asked.body["input"]
            assert call["name"] == tool["name"]
            assert output["output"][1]["type"] == "input_image"
            events = Script().text("Sunny").end()
        return Reply([sse(event) for event in events])

    backend.answer = answer
    daemon = start_chatgpt()

    def talk(sdk: openai.OpenAI) -> str | None:
        create: Any = sdk.chat.completions.create
        messages: list[Any] = [{"role": "user", "content": "Weather?"}]
        first = create(model="gpt-5.6-sol", messages=messages, tools=tools).choices[0].message
        assert first.tool_calls[0].function.name == name
        messages += [
            first.model_dump(exclude_none=True),
            {
                "role": "tool",
                "tool_call_id": "call_1",
                "content": [
                    {"type": "text", "text": "See:"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                ],
            },
        ]
        last = create(model="gpt-5.6-sol", messages=messages, tools=tools)
        return str(last.choices[0].message.content)

    assert await daemon.ask(talk) == "Sunny"


async def test_the_cache_key_is_stable_and_the_client_s_own_goes_before_it(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    backend.stream(*SCRIPTS["text"][0])
    for _ in range(2):  # a restart in between
        daemon = start_chatgpt()
        await daemon.ask(lambda sdk: ask(sdk, True))
    await daemon.ask(lambda sdk: ask(sdk, True, extra_headers={"X-Session-Id": "mine"}))
    await daemon.ask(lambda sdk: ask(sdk, True, prompt_cache_key="key"))
    keys = [asked.body["prompt_cache_key"] for asked in backend.asks()]
    assert keys[0] == keys[1]
    assert keys[2:] == ["mine", "key"]
    assert [asked.headers["session-id"] for asked in backend.asks()] == keys


async def test_web_search_that_is_refused_is_left_out_once(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    def answer(asked: Any) -> Reply:
        if asked.body.get("tools"):
            return detail(400, "Unsupported tool: web_search")
        return Reply([sse(event) for event in SCRIPTS["text"][0]])

    backend.answer = answer
    daemon = start_chatgpt(enable_web_search=True)
    message, _, _ = await daemon.ask(lambda sdk: ask(sdk, True))
    assert message["content"] == "Hello"
    assert [bool(asked.body.get("tools")) for asked in backend.asks()] == [True, False]


async def test_stop_and_max_tokens_cut_the_answer_and_close_the_upstream(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    long = Script().text("one ", "two ST", "OP three ", *["more "] * 50).end()
    backend.stream(*long, pause=0.01, ending="hang")
    daemon = start_chatgpt()
    message, finish, usage = await daemon.ask(lambda sdk: ask(sdk, True, stop=["STOP"]))
    assert (message["content"], finish) == ("one two ", "stop")
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, 2)  # by estimate
    await until(lambda: backend.active == 0)
    message, finish, _ = await daemon.ask(lambda sdk: ask(sdk, False, max_tokens=2))
    assert (message["content"], finish) == ("one two ", "length")
    await until(lambda: backend.active == 0)


# --- models


async def test_models_and_their_efforts(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    backend.stream(*SCRIPTS["text"][0])
    daemon = start_chatgpt(expose_reasoning_models=True)

    def models(sdk: openai.OpenAI) -> list[str]:
        return [model.id for model in sdk.models.list()]

    listed = await daemon.ask(models)
    assert listed[0] == "gpt-5.6-sol"
    assert "gpt-5.6-sol-xhigh" in listed
    assert "codex-auto-review" not in listed
    names = ("gpt-5.6-sol-xhigh", "gpt-5.6-sol:xhigh", "chatgpt/gpt-5.6-sol_xhigh", "gpt-5.6-sol")
    await daemon.ask(lambda sdk: [ask(sdk, True, model=name) for name in names])
    efforts = [asked.body["reasoning"]["effort"] for asked in backend.asks()]
    assert efforts == ["xhigh", "xhigh", "xhigh", "medium"]
    with pytest.raises(openai.NotFoundError, match=r"Near matches: gpt-5\.6-sol"):
        await daemon.ask(lambda sdk: ask(sdk, True, model="gpt-5.6-soll"))


async def test_the_catalogue_is_kept_over_a_restart_and_asked_for_by_its_tag(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    first = start_chatgpt()
    await first.ask(lambda sdk: list(sdk.models.list()))
    kept = login_file.with_name("chatmock_models_cache.json")
    await until(kept.exists)
    second = start_chatgpt()
    assert await second.ask(lambda sdk: [model.id for model in sdk.models.list()])
    await until(lambda: backend.not_modified == 1)


async def test_while_the_catalogue_is_not_known_other_names_pass(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    backend.stream(*Script("gpt-6-nova").text("Hello").end())
    backend.models = [{"slug": "gpt-6-nova", "visibility": "hide"}]
    daemon = start_chatgpt()
    message, _, _ = await daemon.ask(lambda sdk: ask(sdk, True, model="gpt-6-nova"))
    assert message["content"] == "Hello"


async def test_the_debug_model_answers_for_all(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    backend.stream(*SCRIPTS["text"][0])
    daemon = start_chatgpt(debug_model="gpt-5.4-mini-xhigh")
    await daemon.ask(lambda sdk: ask(sdk, True, model="whatever"))
    body = backend.asks()[-1].body
    assert (body["model"], body["reasoning"]["effort"]) == ("gpt-5.4-mini", "xhigh")


async def test_another_account_has_models_of_its_own(
    start_chatgpt: Start, backend: ChatGPTBackend, issuer: OpenAIIssuer, login_file: Path
) -> None:
    daemon = start_chatgpt()
    names: list[str] = await daemon.ask(lambda sdk: [model.id for model in sdk.models.list()])
    assert "gpt-5.4-mini" in names
    backend.models = [{"slug": "gpt-9", "visibility": "list"}]
    issuer.account_id = "account-2"
    write_login(login_file, issuer.issue(), account="account-2")
    for _ in range(200):
        names = await daemon.ask(lambda sdk: [model.id for model in sdk.models.list()])
        if names == ["gpt-9"]:
            break
    assert names == ["gpt-9"]
    assert backend.not_modified == 0


async def test_efforts_are_known_before_the_catalogue_is(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    backend.stream(*SCRIPTS["text"][0])
    backend.models = [{"slug": "gpt-5", "visibility": "hide"}]
    daemon = start_chatgpt()
    await daemon.ask(lambda sdk: ask(sdk, True, model="gpt-5-high"))
    body = backend.asks()[-1].body
    assert (body["model"], body["reasoning"]["effort"]) == ("gpt-5", "high")


# --- the plan's limits


async def test_the_plan_s_limits_are_recorded(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    backend.stream(*SCRIPTS["text"][0])
    daemon = start_chatgpt()
    await daemon.ask(lambda sdk: ask(sdk, True))
    record = login_file.with_name("usage_limits.json")
    await until(record.exists)
    body = json.loads(record.read_text())
    assert body["primary"]["used_percent"] == 12.5
    assert body["secondary"]["window_minutes"] == 10080
    assert record.stat().st_mode & 0o777 == 0o600
    told = await daemon.ask(lambda sdk: sdk.get("/usage", cast_to=object))
    assert told["chatgpt"]["primary"]["used_percent"] == 12.5
    assert "account" not in json.dumps(told)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_usage_limit_is_told_and_never_tried_again(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path, stream: bool
) -> None:
    error = {
        "type": "usage_limit_reached",
        "message": "The usage limit has been reached",
        "plan_type": "plus",
        "resets_at": 4_000_000_000,
        "resets_in_seconds": 7200,
    }
    backend.reply_json({"error": error}, status=429)
    with pytest.raises(openai.RateLimitError) as caught:
        await start_chatgpt().ask(lambda sdk: ask(sdk, stream))
    assert caught.value.response.headers["retry-after"] == "7200"
    assert caught.value.type == "usage_limit_reached"
    assert isinstance(caught.value.body, dict)
    assert (caught.value.body["resets_at"], caught.value.body["plan_type"]) == (4_000_000_000, "plus")
    assert len(backend.asks()) == 1


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"detail": "Something about the request"}, 400, "Something about the request"),
        ({"detail": [{"msg": "first"}, {"msg": "second"}]}, 422, "first; second"),
        ({"error": {"message": "No such model", "code": "model_not_found"}}, 404, "No such model"),
        ({"error_description": "odd"}, 400, "odd"),
    ],
)
async def test_every_error_body_is_read(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path, body: Any, status: int, told: str
) -> None:
    backend.reply_json(body, status=status, headers={b"x-request-id": b"up-1"})
    with pytest.raises(openai.APIStatusError) as caught:
        await start_chatgpt().ask(lambda sdk: ask(sdk, True))
    assert told in caught.value.message
    assert "up-1" in caught.value.message


async def test_a_page_of_the_edge_is_not_quoted(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path
) -> None:
    backend.reply([b"<html>Just a moment...</html>"], status=403, content_type=b"text/html")
    with pytest.raises(openai.PermissionDeniedError, match="gateway in front of ChatGPT"):
        await start_chatgpt().ask(lambda sdk: ask(sdk, True))


# --- the login


async def test_without_a_login_the_demo_answers_and_chatgpt_says_what_to_do(start_chatgpt: Start) -> None:
    daemon = start_chatgpt()
    assert "chatgpt (run: chatmock login)" in daemon.said[0]
    with pytest.raises(openai.AuthenticationError, match="chatmock login"):
        await daemon.ask(lambda sdk: ask(sdk, True, model="chatgpt/gpt-5.6-sol"))
    message, _, _ = await daemon.ask(lambda sdk: ask(sdk, True, model="demo"))
    assert message["content"]


async def test_a_login_counts_at_once(
    start_chatgpt: Start, backend: ChatGPTBackend, issuer: OpenAIIssuer, home: Path
) -> None:
    backend.stream(*SCRIPTS["text"][0])
    daemon = start_chatgpt(provider="chatgpt")
    with pytest.raises(openai.AuthenticationError):
        await daemon.ask(lambda sdk: ask(sdk, True))
    write_login(home / ".chatgpt-local" / "auth.json", issuer.issue())

    async def answered() -> bool:
        try:
            await daemon.ask(lambda sdk: ask(sdk, True))
        except openai.AuthenticationError:
            return False
        return True

    for _ in range(100):
        if await answered():
            return
    pytest.fail("the login was never noticed")


async def test_an_expired_login_is_refreshed_once_for_all(
    start_chatgpt: Start, backend: ChatGPTBackend, issuer: OpenAIIssuer, home: Path
) -> None:
    issuer.access_seconds = -10
    path = write_login(home / ".chatgpt-local" / "auth.json", issuer.issue(), kept="yes")
    issuer.access_seconds = 3600
    issuer.delay = 0.05
    backend.stream(*SCRIPTS["text"][0])
    daemon = start_chatgpt()

    def many(sdk: openai.OpenAI) -> list[str]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda _: ask(sdk, True)[0]["content"], range(16)))

    assert await daemon.ask(many) == ["Hello"] * 16
    assert issuer.refreshes == 1
    body = json.loads(path.read_text())
    assert body["kept"] == "yes"
    assert issuer.honours_refresh(body["tokens"]["refresh_token"])
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("stream", [True, False])
async def test_a_refused_token_is_refreshed_and_the_request_sent_again(
    start_chatgpt: Start, backend: ChatGPTBackend, issuer: OpenAIIssuer, login_file: Path, stream: bool
) -> None:
    backend.stream(*SCRIPTS["text"][0])
    issuer.revoke_access()
    message, _, _ = await start_chatgpt().ask(lambda sdk: ask(sdk, stream))
    assert message["content"] == "Hello"
    assert issuer.refreshes == 1


async def test_a_token_refused_again_is_told_as_it_is(
    start_chatgpt: Start, backend: ChatGPTBackend, issuer: OpenAIIssuer, login_file: Path
) -> None:
    backend.honours = lambda token: False
    with pytest.raises(openai.AuthenticationError, match="chatmock login"):
        await start_chatgpt().ask(lambda sdk: ask(sdk, True))
    assert len(backend.asks()) <= 2


@pytest.mark.parametrize(
    "code", ["refresh_token_reused", "refresh_token_expired", "refresh_token_invalidated", "invalid_grant"]
)
async def test_a_login_that_has_ended_stops_the_hammering(
    start_chatgpt: Start, issuer: OpenAIIssuer, home: Path, code: str
) -> None:
    issuer.access_seconds = -10
    path = write_login(home / ".chatgpt-local" / "auth.json", issuer.issue())
    issuer.refuse(code)
    daemon = start_chatgpt()
    for _ in range(3):
        with pytest.raises(openai.AuthenticationError, match="chatmock login"):
            await daemon.ask(lambda sdk: ask(sdk, True))
    assert len(issuer.calls("/oauth/token")) == 1
    assert json.loads(path.read_text())["login_needed"] == code


@pytest_twisted.async_yield_fixture()
async def idle(issuer: OpenAIIssuer, home: Path) -> AsyncIterator[ChatGPTAccount]:
    """An account of which nobody asks anything, and whose next look is for the test to bring about."""
    client = UpstreamClient(reactor, 5, 5, 2)
    threads = Threads(reactor, 1)
    account = ChatGPTAccount.of(Settings(chatgpt_issuer=issuer.url), client, reactor, threads)
    account._tending.clock = Clock()
    account.start()
    yield account
    await account.stop()
    assert account._tending.clock.getDelayedCalls() == []
    threads.stop()
    client.close()
    await settle()


async def test_an_idle_daemon_keeps_its_login_fresh(
    idle: ChatGPTAccount, issuer: OpenAIIssuer, home: Path
) -> None:
    issuer.access_seconds = 299
    path = write_login(home / ".chatgpt-local" / "auth.json", issuer.issue())
    before = path.read_bytes()
    issuer.access_seconds = 3600
    idle._tending.clock.advance(240)
    await until(lambda: path.read_bytes() != before)
    tokens = json.loads(path.read_text())["tokens"]
    assert issuer.honours_refresh(tokens["refresh_token"])
    credential = await idle.credentials.current()
    assert credential.token == Secret(tokens["access_token"])
    idle._tending.clock.advance(240)
    await idle.credentials.current()
    assert len(issuer.calls("/oauth/token")) == issuer.refreshes == 1


async def test_an_idle_daemon_says_once_that_its_login_has_ended(
    idle: ChatGPTAccount, issuer: OpenAIIssuer, home: Path
) -> None:
    told: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        told.append(formatEvent(event))

    def look(words: int) -> None:
        idle.credentials._look_at = 0.0  # files are looked at once in a second
        idle._tending.clock.advance(240)
        assert sum("needs attention" in line for line in told) == words

    path = home / ".chatgpt-local" / "auth.json"
    globalLogPublisher.addObserver(observe)
    try:
        look(0)
        write_login(path, issuer.issue(), login_needed="invalid_grant")
        for _ in range(3):
            look(1)
        write_login(path, issuer.issue())
        look(1)
        write_login(path, issuer.issue(), login_needed="invalid_grant")
        look(2)
    finally:
        globalLogPublisher.removeObserver(observe)
    assert issuer.calls("/oauth/token") == []


async def test_another_program_s_login_is_used_but_never_refreshed(
    start_chatgpt: Start, backend: ChatGPTBackend, issuer: OpenAIIssuer, home: Path
) -> None:
    backend.stream(*SCRIPTS["text"][0])
    path = write_login(home / ".codex" / "auth.json", issuer.issue())
    before = path.read_bytes()
    daemon = start_chatgpt()
    message, _, _ = await daemon.ask(lambda sdk: ask(sdk, True))
    assert message["content"] == "Hello"
    issuer.revoke_access()
    with pytest.raises(openai.AuthenticationError, match="chatmock login"):
        await daemon.ask(lambda sdk: ask(sdk, True))
    assert not issuer.calls("/oauth/token")
    assert path.read_bytes() == before
    assert not (home / ".chatgpt-local" / "auth.json").exists()


# --- recordings


FOUND = recordings("chatgpt-codex", "openai-responses", "xai-responses")
STREAMS = [r for r in FOUND if r.kind == "sse"]


def recorded(recording: Recording) -> dict[str, Any]:
    """Read the recording's first answer by a reader of its own: what its items are when they are done."""
    heard: dict[str, Any] = {
        "text": "",
        "thought": "",
        "refusal": "",
        "calls": {},
        "usage": None,
        "failed": False,
    }
    for line in recording.response.decode().splitlines():
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            continue
        event = json.loads(line[5:])
        if event["type"] in ("error", "response.failed"):
            heard["failed"] = True
        elif event["type"] == "response.output_item.done":
            _hear(heard, event["output_index"], event["item"])
        elif event["type"] in ("response.completed", "response.incomplete"):
            usage = event["response"]["usage"]
            heard["usage"] = (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"])
            return heard
    return heard


def _hear(heard: dict[str, Any], index: int, item: dict[str, Any]) -> None:
    if item["type"] == "function_call":
        heard["calls"][index] = (item["call_id"], item["name"], item["arguments"])
    for part in item.get("content") or ():
        heard["text"] += part.get("text", "")
        heard["refusal"] += part.get("refusal", "")
    heard["thought"] += "".join(part["text"] for part in item.get("summary") or ())


@pytest.mark.parametrize("cut", ["bytes", "records", "random"])
@parametrised(STREAMS)
async def test_recordings_come_out_in_chat_form(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path, recording: Recording, cut: str
) -> None:
    pieces = cuts(recording.response)[cut]
    if cut == "bytes":
        pieces = pieces[:3000] + ([b"".join(pieces[3000:])] if len(pieces) > 3000 else [])
    backend.reply(pieces)
    daemon = start_chatgpt(reasoning_compat="reasoning-content")
    wanted = recorded(recording)
    if wanted["failed"]:
        with pytest.raises(openai.APIStatusError):
            await daemon.ask(lambda sdk: ask(sdk, True))
        return
    message, _, usage = await daemon.ask(lambda sdk: ask(sdk, True))
    assert message["content"] == wanted["text"]
    assert message.get("refusal", "") == wanted["refusal"]
    assert message.get("reasoning_content", "").replace("\n\n", "") == wanted["thought"].replace("\n\n", "")
    calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message["tool_calls"]]
    assert calls == [wanted["calls"][index] for index in sorted(wanted["calls"])]
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == wanted["usage"]


@parametrised([r for r in FOUND if r.status != 200])
async def test_recorded_errors(
    start_chatgpt: Start, backend: ChatGPTBackend, login_file: Path, recording: Recording
) -> None:
    backend.reply_json(recording.response, status=recording.status)
    with pytest.raises(openai.APIStatusError) as caught:
        await start_chatgpt().ask(lambda sdk: ask(sdk, True))
    assert caught.value.status_code == recording.status
