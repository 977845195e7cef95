"""The command `peerbus` as a whole: its options, its exit codes, and what it loads."""

import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete

from peerbus import __version__
from peerbus.cli.main import COMMANDS, main
from tests.support.cli import CommandLine, ended, start
from tests.support.harness import DEADLINE, ROOT, Api, free_port, start_node

NOWHERE = "http://127.0.0.1:1"
WRONG: dict[str, tuple[list[str], str]] = {
    "no such command": (["publsh"], "publsh"),
    "no such option": (["topics", "--jsn"], "--jsn"),
    "no topic": (["subscribe"], "TOPIC"),
    "no messages": (["publish", "news"], "MESSAGES"),
    "no offsets": (["ack", "news"], "OFFSETS"),
    "offsets twice": (["nack", "news", "1", "--up-to", "2"], "OFFSETS"),
    "no time": (["extend", "news", "1"], "--seconds"),
    "no time at all": (["extend", "news", "1", "--seconds", "0"], "--seconds"),
    "a URL that is none": (["topics", "--url", "localhost:5000"], "http://"),
    "the same, before the command": (["--url", "localhost:5000", "topics"], "http://"),
    "a start that is none": (["subscribe", "news", "--from", "-1"], "--from"),
    "none of anything": (["subscribe", "news", "--max", "0"], "--max"),
    "a time that is none": (["pull", "news", "--wait", "nan"], "--wait"),
    "a time without end": (["create", "news", "--max-age", "inf"], "--max-age"),
    "a deadline beyond the call's": (["subscribe", "news", "--ack-deadline", "50000"], "--ack-deadline"),
    "an overflow that is none": (["create", "news", "--overflow", "explode"], "--overflow"),
    "no terminal": (["top"], "--once"),
}


@pytest.fixture
def peerbus(index: Api) -> CommandLine:
    return CommandLine(index.url)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(name: str) -> None:
    arguments, fault = WRONG[name]
    assert fault in CommandLine(NOWHERE).refused(2, *arguments)


def test_a_wrong_command_line_says_where_help_is() -> None:
    assert CommandLine(NOWHERE).refused(2, "topics", "--jsn").endswith(" topics --help.\n")


def test_what_the_server_refuses_is_its_code_and_sentence_and_exit_code_1(peerbus: CommandLine) -> None:
    assert peerbus.refused(1, "delete", "none").startswith("error: topic_not_found: Topic 'none' does not exist.")
    assert peerbus.refused(1, "create", "a b").startswith("error: bad_request: ")
    assert peerbus.refused(1, "unregister").startswith("error: bad_request: ")


def test_a_server_that_cannot_be_reached_is_exit_code_3() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    sentence = CommandLine(url).refused(3, "topics")
    assert sentence == f"error: index_unreachable: {url} cannot be reached: Connection refused.\n"


def test_a_peer_node_that_cannot_reach_its_server_is_exit_code_3() -> None:
    with start_node("peer1", f"http://127.0.0.1:{free_port()}") as node:
        assert CommandLine(node.url).refused(3, "topics").startswith("error: index_unreachable: ")


def test_the_exit_codes_are_those_of_the_process(index: Api) -> None:
    ends = [
        ended(start(*arguments))[0]
        for arguments in (
            (index.url, "topics"),
            (index.url, "query", "none"),
            (index.url, "query"),
            (NOWHERE, "topics"),
        )
    ]
    assert ends == [0, 1, 2, 3]


def test_the_url_goes_before_or_after_the_command(peerbus: CommandLine) -> None:
    elsewhere = CommandLine(NOWHERE)
    assert elsewhere("--url", peerbus.url, "topics").exit_code == 0
    assert elsewhere("topics", "--url", peerbus.url).exit_code == 0
    assert elsewhere("--url", NOWHERE, "topics", "--url", peerbus.url).exit_code == 0
    assert peerbus("--url", NOWHERE, "topics").exit_code == 3
    assert peerbus("topics", PEERBUS_URL="nowhere").exit_code == 2


def test_options_of_commands_are_environment_variables_too(peerbus: CommandLine, index: Api) -> None:
    index.subscriber("me", "news")
    peerbus.says("publish", "news", "a", "b")
    assert peerbus("pull", "news", PEERBUS_PEER_ID="me", PEERBUS_PULL_MAX="1").stdout == '"a"\n'
    assert peerbus("pull", "news", "--peer-id", "me", PEERBUS_PEER_ID="you").stdout == '"b"\n'


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_an_environment_variable_is_called_as_its_option_is(command: click.Command) -> None:
    own = {"--url": None, "--patience": None, "--token-file": None, "--ca": None, "--peer-id": "PEERBUS_PEER_ID"}
    for option in command.params:
        if isinstance(option, click.Option):
            flag = option.opts[0]
            assert option.envvar == own.get(flag, f"PEERBUS_{command.name}_{flag[2:]}".upper().replace("-", "_"))


def test_alone_it_says_what_there_is() -> None:
    alone, asked = CommandLine(NOWHERE)(), CommandLine(NOWHERE)("--help")
    assert (alone.exit_code, alone.stdout) == (0, asked.stdout)
    assert all(command.name and command.name in alone.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_explains_every_option(command: click.Command) -> None:
    shown = " ".join(CommandLine(NOWHERE).says(str(command.name), "--help").split())
    assert command.get_short_help_str() in shown
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.opts[0] in shown


def test_the_version_is_said() -> None:
    assert CommandLine(NOWHERE).says("--version") == f"peerbus {__version__}\n"


def test_topics_are_completed(index: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peerbus.cli.settings.COMPLETION_SECONDS", DEADLINE)
    for topic in ("news", "news/sport", "jobs"):
        index.post("/create_topic", topic=topic)

    def completed(*arguments: str) -> list[str]:
        completion = ShellComplete(main, {}, "peerbus", "_PEERBUS_COMPLETE")
        return [item.value for item in completion.get_completions(list(arguments[:-1]), arguments[-1])]

    assert completed("--url", index.url, "pull", "n") == ["news", "news/sport"]
    assert completed("pull", "--url", index.url, "") == ["jobs", "news", "news/sport"]
    for number in range(1001):
        index.post("/create_topic", topic=f"many{number:04}")
    index.post("/create_topic", topic="zeta")
    assert completed("--url", index.url, "publish", "ze") == ["zeta"]
    assert completed("--url", index.url, "publish", "zeta") == ["zeta"]
    assert len(completed("--url", index.url, "publish", "many")) == 1001
    assert completed("--url", NOWHERE, "pull", "n") == []
    assert completed("--url", "nowhere", "pull", "n") == []


def test_it_loads_what_it_needs_and_no_server() -> None:
    code = "import sys; import peerbus.cli.main; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
    assert loaded.isdisjoint({"peerbus.broker", "peerbus.server", "peerbus.node", "flask", "sqlite3"})
    assert "requests" not in loaded, "completion has to be quick"
