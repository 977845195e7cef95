"""What names of hosts stand for."""

import asyncio
import socket
import threading
from ipaddress import ip_address

from peerbus.http.event_loop import Loop

MOST = 32
"""Resolver looked up at once."""


class Resolver:
    """Looks names up, each in a thread that nobody waits for.

    A name whose servers do not answer takes its thread for many seconds, whoever still wants to know. The loop itself
    has two threads for that (libuv's), and they would hold up all other names, and the end of the process.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._free = asyncio.Semaphore(MOST)
        self._asked: dict[str, asyncio.Task[list[str]]] = {}

    async def addresses(self, host: str, deadline: float) -> list[str]:
        """The addresses that a host has, one at least; raises `OSError`, also where that takes too long."""
        if _is_address(host):
            return [host]
        if host not in self._asked:
            self._asked[host] = self._loop.events.create_task(self._look_up(host))
            self._asked[host].add_done_callback(lambda _: self._asked.pop(host))
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(self._asked[host])
        except TimeoutError:
            raise OSError("what its name stands for cannot be found out in time") from None

    async def close(self) -> None:
        """Look nothing up any more."""
        asked = list(self._asked.values())
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    async def _look_up(self, host: str) -> list[str]:
        found: asyncio.Future[list[str]] = self._loop.events.create_future()
        async with self._free:
            threading.Thread(target=self._ask, args=(host, found), name="names", daemon=True).start()
            return await found

    def _ask(self, host: str, found: "asyncio.Future[list[str]]") -> None:
        try:
            known = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._loop.call(_settle, found, error)
        else:
            self._loop.call(_settle, found, [str(address[0]) for *_, address in known])


def _settle(found: "asyncio.Future[list[str]]", result: list[str] | Exception) -> None:
    if found.done():
        return
    if isinstance(result, Exception):
        found.set_exception(result)
    else:
        found.set_result(result)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
