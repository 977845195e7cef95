"""A server that has hardly any files left to open."""

import resource
from collections.abc import Callable
from contextlib import ExitStack

import requests

from tests.support.connections import Connection
from tests.support.harness import Api, Process, eventually

FILES = 100


def is_served(api: Api) -> bool:
    """Whether there is room again for a connection."""
    try:
        return api.get("/livez").status == 200
    except requests.ConnectionError:
        return False


def test_a_server_that_nears_its_limit_of_open_files_says_so_once_a_minute(run: Callable[..., Process]) -> None:
    process = run("indexing_server.py", "--port", "0")
    api = Api(process.urls()[0])
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
    with ExitStack() as stack:
        for _ in range(FILES):
            connection = stack.enter_context(Connection(api.url))
            connection.send_what_is_taken(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert f"{FILES} files" in process.error_line()
    eventually(lambda: is_served(api))
    process.interrupt_group()
    code, _, err = process.finish()
    assert (code, "files" in err) == (0, False)
