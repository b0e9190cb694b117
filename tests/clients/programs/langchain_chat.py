"""LangChain against the daemon: a chat and a tool round trip, whole and streamed.

Arguments: openai, ollama or anthropic; the daemon's URL; the model.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool


@tool
def weather(place: str) -> str:
    """The weather in a place."""
    return f"{place}: 21 degrees"


def model(kind: str, url: str, name: str) -> Any:
    """The chat model of one of LangChain's packages."""
    if kind == "openai":
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model=name, base_url=f"{url}/v1", api_key="key")
    if kind == "responses":
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model=name, base_url=f"{url}/v1", api_key="key", use_responses_api=True)
    if kind == "ollama":
        from langchain_ollama import ChatOllama

        return ChatOllama(model=name, base_url=url)
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(model=name, base_url=url, api_key="key", max_tokens=500)


def main(kind: str, url: str, name: str) -> None:
    chat = model(kind, url, name)
    said = {
        "whole": chat.invoke("Hello").text,
        "streamed": "".join(piece.text for piece in chat.stream("Hello")),
    }
    bound = chat.bind_tools([weather])
    for form in ("whole", "streamed"):
        history = [HumanMessage("Weather in Rome? Now use the tool.")]
        if form == "whole":
            answer = bound.invoke(history)
        else:
            answer = None
            for piece in bound.stream(history):
                answer = piece if answer is None else answer + piece
        history.append(answer)
        for call in answer.tool_calls:
            history.append(
                ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"], name=call["name"])
            )
        said[f"{form} tool"] = bound.invoke(history).text
    print(json.dumps(said))


main(*sys.argv[1:])
