"""The addresses of host names."""

import asyncio
import socket
import threading
from ipaddress import ip_address

from peerbus.http.event_loop import Loop

MAX_LOOKUPS = 32
"""Names that are looked up at once."""


class Resolver:
    """Looks names up, each in a daemon thread of its own.

    A lookup whose name server does not answer occupies its thread for many seconds, wanted or not. The loop's own
    resolver has two threads (libuv's): they would hold up all other names, and the end of the process.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._free = asyncio.Semaphore(MAX_LOOKUPS)
        self._lookups: dict[str, asyncio.Task[list[str]]] = {}

    async def addresses(self, host: str, deadline: float) -> list[str]:
        """The addresses of a host, at least one, by `deadline` in the loop's time; raises `OSError`, then too."""
        if _is_address(host):
            return [host]
        if host not in self._lookups:
            self._lookups[host] = self._loop.events.create_task(self._look_up(host))
            self._lookups[host].add_done_callback(lambda _: self._lookups.pop(host))
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(self._lookups[host])
        except TimeoutError:
            raise OSError("what its name stands for cannot be found out in time") from None

    async def close(self) -> None:
        """Cancel all lookups."""
        lookups = list(self._lookups.values())
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)

    async def _look_up(self, host: str) -> list[str]:
        found: asyncio.Future[list[str]] = self._loop.events.create_future()
        async with self._free:
            threading.Thread(target=self._resolve, args=(host, found), name="resolver", daemon=True).start()
            return await found

    def _resolve(self, host: str, found: "asyncio.Future[list[str]]") -> None:
        """In a thread: the only blocking step."""
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
