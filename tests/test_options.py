"""The command line of the daemon: every setting but the secrets is an option; bad values end in one line."""

# mypy: allow-untyped-calls
# The methods of usage.Options are inherited without annotations.

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from twisted.python import usage

from chatmock.options import ServeOptions
from chatmock.settings import Declaration, Settings, declarations

FLAGGED = [each for each in declarations() if each.flag is not None]
every_flag = pytest.mark.parametrize("setting", FLAGGED, ids=lambda each: each.flag)


def parsed(*arguments: str) -> ServeOptions:
    options = ServeOptions()
    options.parseOptions(arguments)
    return options


def message(options: ServeOptions, environ: Mapping[str, str]) -> str:
    with pytest.raises(usage.UsageError) as caught:
        options.settings(environ)
    return str(caught.value)


def help_of(options: ServeOptions, flag: str) -> str:
    """The text `--help` has for one option, on one line."""
    chunks = ("\n" + options.getUsage(width=1000)).split("\n      --")
    (found,) = [chunk for chunk in chunks if chunk.split()[0].rstrip("=") == flag]
    return " ".join(found.split("\n\n")[0].split())


def test_nothing_given_is_told_from_a_default() -> None:
    options = parsed()
    assert options.given() == {}
    assert options.settings({}) == Settings()


@every_flag
def test_every_option_reaches_its_setting(setting: Declaration) -> None:
    if setting.switch:
        options = parsed(f"--{setting.flag}")
        assert options.given() == {setting.name: True}
    else:
        options = parsed(f"--{setting.flag}", "x", f"--{setting.flag}=some text")
        expected = ["x", "some text"] if setting.repeatable else "some text"
        assert options.given() == {setting.name: expected}


def test_options_become_settings() -> None:
    options = parsed("--port", "9000", "--provider=demo", "--verbose", "--cors-origins", "https://a.test, *")
    settings = options.settings({"CHATMOCK_PORT": "1", "CHATMOCK_HOST": "0.0.0.0"})
    assert settings == Settings(
        port=9000, provider="demo", verbose=True, cors_origins=("https://a.test", "*"), host="0.0.0.0"
    )
    assert {name: str(source) for name, source in settings.given.items()} == {
        "port": "--port",
        "provider": "--provider",
        "verbose": "--verbose",
        "cors_origins": "--cors-origins",
        "host": "CHATMOCK_HOST",
    }


def test_endpoints_add_up_and_replace_those_of_the_environment() -> None:
    options = parsed("--endpoint", "tcp:8000", "--endpoint", "tcp:11434:interface=127.0.0.1")
    settings = options.settings({"CHATMOCK_ENDPOINTS": "tcp:1"})
    assert settings.endpoints == ("tcp:8000", "tcp:11434:interface=127.0.0.1")


@pytest.mark.parametrize(
    ("arguments", "variable", "value"),
    [
        ([], "on", True),
        ([], "off", False),
        (["--no-inject-base-prompt"], "on", False),
        (["--inject-base-prompt"], "off", True),
        (["--no-inject-base-prompt", "--inject-base-prompt"], "off", True),
        (["--inject-base-prompt", "--no-inject-base-prompt"], "on", False),
    ],
)
def test_what_is_on_by_default_can_be_turned_off_and_the_last_one_counts(
    arguments: list[str], variable: str, value: bool
) -> None:
    assert parsed(*arguments).settings({"INJECT_BASE_PROMPT": variable}).inject_base_prompt is value


def test_only_what_is_on_by_default_has_an_opposite() -> None:
    opposites = [name for name in ServeOptions().longOpt if name.startswith("no-")]
    assert opposites == [f"no-{each.flag}" for each in declarations() if each.default is True]


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (
            ["--port", "http"],
            {},
            "--port=http is not allowed: give a whole number from 0 to 65535 (TCP port)",
        ),
        (
            [],
            {"VERBOSE": "maybe"},
            "VERBOSE=maybe is not allowed: give 1, true, yes, on or 0, false, no, off",
        ),
        (["--provider=grok"], {}, "--provider=grok needs XAI_API_KEY"),
        (
            ["--config", "/nonexistent/c.toml"],
            {},
            "--config=/nonexistent/c.toml cannot be read: No such file or directory",
        ),
    ],
)
def test_a_bad_setting_is_a_usage_error_of_one_line(
    arguments: list[str], environ: dict[str, str], expected: str
) -> None:
    assert message(parsed(*arguments), environ) == expected


@pytest.mark.parametrize(
    "arguments",
    [["--prot", "1"], ["--xai-api-key", "k"], ["--verbose=yes"], ["--port"], ["demo"], ["--no-verbose"]],
)
def test_what_is_no_option_is_refused_while_parsing(arguments: list[str]) -> None:
    with pytest.raises(usage.UsageError):
        parsed(*arguments)


def test_parsing_does_not_look_at_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATMOCK_PORT", "bad")
    monkeypatch.setenv("CHATMOCK_CONFIG", "/nonexistent")
    assert parsed("--host", "::1").settings({}) == Settings(host="::1")


def test_the_file_is_found_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "c.toml").write_text("port = 1\nmax_tokens = 5\n[grok_aliases]\n'sonoma/sky' = 'grok-4'\n")
    settings = parsed("--config", "~/c.toml", "--port", "2").settings({})
    assert (settings.port, settings.max_tokens) == (2, 5)
    assert settings.grok_aliases == {"sonoma/sky": "grok-4"}
    assert settings.config == Path("~/c.toml")


@every_flag
def test_the_help_tells_meaning_default_unit_choices_and_variables(setting: Declaration) -> None:
    assert setting.flag is not None
    text = help_of(ServeOptions(), setting.flag)
    assert setting.doc in text
    assert all(word in text for word in (setting.unit, *setting.choices, *setting.environment))
    default = setting.render(setting.default)
    assert (f"[default: {default}; " in text) if default else ("[default" not in text)


def test_the_help_of_an_opposite_names_its_option() -> None:
    assert help_of(ServeOptions(), "no-inject-base-prompt").endswith("the opposite of --inject-base-prompt")


def test_the_help_names_no_option_for_a_secret_and_says_where_it_goes() -> None:
    text = " ".join(str(ServeOptions()).split())
    assert "api-key" not in text
    assert "token=" not in text
    assert "secrets are no options" in text
    assert text.startswith("Usage: ")


def test_the_options_serve_as_those_of_a_command() -> None:
    class Commands(usage.Options):
        subCommands = [("serve", None, ServeOptions, "answer clients")]  # noqa: RUF012

    commands = Commands()
    commands.parseOptions(["serve", "--port", "0"])
    assert commands.subOptions.settings({}).port == 0


def test_shells_complete_choices_and_files() -> None:
    options = ServeOptions()
    script = io.BytesIO()
    options._shellCompFile = script
    with pytest.raises(SystemExit):
        options.parseOptions(["", "--_shell-completion", "zsh:2"])
    lines = {line.lstrip("*'\"-").split("=")[0]: line for line in script.getvalue().decode().splitlines()}
    assert "(debug info warn error critical)" in lines["log-level"]
    assert "_files" in lines["tls-cert"]
    assert lines["endpoint"].lstrip("'\"").startswith("*")


def test_the_options_install_no_reactor_and_need_no_klein() -> None:
    code = (
        "import sys, chatmock.options; "
        "sys.exit('klein' in sys.modules or 'twisted.internet.reactor' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
