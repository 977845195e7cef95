"""Calls by HTTP over one connection, repeated if that does no harm."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import requests

from peerbus.client import json_values
from peerbus.client.retry import Retries
from peerbus.errors import IndexTimeout, IndexUnreachable, PeerbusError, error_in, not_peerbus, timed_out, unreachable
from peerbus.wire import protocol as wire
from peerbus.wire.fields import MEANINGS, URL
from peerbus.wire.tokens import bearer

AnswerT = TypeVar("AnswerT", bound=wire.Answer)


class Session:
    """Makes calls to one server or peer node, and decodes their answers; each thread needs its own."""

    def __init__(
        self, url: str, timeout: float, patience: float, token: str | None = None, ca: str | Path | None = None
    ) -> None:
        """`timeout` is how long an answer may take, `patience` how long calls are repeated, both in seconds.

        `ca` is a PEM file of the authorities to trust for https, in place of those that requests trusts.
        Raises `ValueError` for a malformed URL.
        """
        if not re.match(URL, url):
            raise ValueError(f"Expected {MEANINGS[URL]}, got {url!r}.")
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._patience = patience
        self._ca = ca
        self.token: str | None = None
        self._connect()
        self.show(token)

    def _connect(self) -> None:
        """Begin with no connection."""
        self._process = os.getpid()
        self._session = requests.Session()
        self._session.trust_env = False
        if self._ca:
            self._session.verify = str(self._ca)

    def show(self, token: str | None) -> None:
        """Send a token, or none, with every call from now on."""
        self.token = token
        self._session.headers.pop("Authorization", None)
        if token:
            self._session.headers["Authorization"] = bearer(token)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def call(
        self,
        method: str,
        path: str,
        answer: type[AnswerT],
        fields: dict[str, Any],
        *,
        repeat: bool = True,
        wait: float = 0.0,
    ) -> AnswerT:
        """Make a call, whose answer may take `wait` seconds longer than others; raises the server's error as its class.

        `repeat` says whether the call is idempotent, and so repeated even if the server may have carried it out.
        """
        retries = Retries(self._patience, repeat=repeat)
        while True:
            failure: PeerbusError
            try:
                response = self._send(method, path, fields, wait)
            except (IndexUnreachable, IndexTimeout) as error:
                failure, pause = error, retries.pause(time.monotonic(), None)
            else:
                if response.status_code == 200:
                    return _answer_in(response, answer)
                failure = error_in(response.status_code, response.content)
                asked_for = response.headers.get("Retry-After", "")
                pause = retries.pause(time.monotonic(), response.status_code, asked_for)
            if pause is None:
                raise failure
            time.sleep(pause)

    def _send(self, method: str, path: str, fields: dict[str, Any], wait: float) -> requests.Response:
        if self._process != os.getpid():
            self._of_parent = self._session  # not closed: the parent process goes on with its connections
            self._connect()
            self.show(self.token)
        body = json_values.encode(fields)
        try:
            if method == "GET":
                return self._session.get(self._url + path, params=fields, timeout=self._timeout)
            headers = {"Content-Type": "application/json"}
            return self._session.request(
                method, self._url + path, data=body, headers=headers, timeout=self._timeout + wait
            )
        except requests.Timeout:
            raise timed_out(self._url, f"no answer within {self._timeout + wait:g} seconds") from None
        except requests.RequestException as error:
            raise unreachable(self._url, _reason(error)) from None


def _reason(error: BaseException) -> str:
    """The words of the first error in a chain of exceptions, which is the operating system's."""
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return (isinstance(error, OSError) and error.strerror) or str(error).rstrip(".")


def _answer_in(response: requests.Response, answer: type[AnswerT]) -> AnswerT:
    try:
        return msgspec.json.decode(response.content, type=answer)
    except (msgspec.DecodeError, RecursionError):
        raise not_peerbus(response.status_code) from None
