"""Asks Holdgate about a tool call before it runs.

A client takes the listener of tool calls and the agent's secret; it gives a verdict. What is no
verdict is an exception, so that a tool that is guarded does not run where nobody answers.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import http.client
import inspect
import json
import os
import socket
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, TypeVar
from urllib.parse import urlsplit

__all__ = ["HoldgateClient", "HoldgateError", "Judgement", "Refused"]

_PATH = "/v1/tool-calls"
_LARGEST_ANSWER = 64 * 1024
_VERDICTS = ("allow", "hold", "deny")
# Refusals of a question that are verdicts all the same: it is too large, or asked too often.
_JUDGED = (200, 413, 429)

_Tool = TypeVar("_Tool", bound=Callable[..., Any])


class HoldgateError(Exception):
    """There is no verdict: nobody answers, the secret is wrong, or the question is malformed."""


@dataclass(frozen=True)
class Judgement:
    """What Holdgate says of a tool call."""

    verdict: str
    """`allow`, `hold` or `deny`."""
    reason: Optional[str]
    """The stable word for why; none where nothing speaks against the call."""
    message: str
    """One sentence that a model can act on."""
    request_id: Optional[str] = None
    """The id by which the record has it."""
    hold: Optional[str] = None
    """The id of the hold, where a person is asked."""

    @property
    def allowed(self) -> bool:
        """Whether the tool may run."""
        return self.verdict == "allow"


class Refused(Exception):
    """A guarded tool did not run. Its text is for the model."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__(judgement.message)
        self.judgement = judgement


class HoldgateClient:
    """A client of one agent. It keeps no connection, and may be shared by threads."""

    def __init__(
        self,
        address: str,
        secret: Optional[str] = None,
        agent: Optional[str] = None,
        timeout: float = 60.0,
    ) -> None:
        """`address` is `unix:PATH` or `http://127.0.0.1:PORT`. An agent that has a secret gives its
        name too. `timeout` is in seconds, and longer than a held call is kept waiting."""
        if secret is not None and agent is None:
            raise ValueError("an agent that has a secret gives its name too")
        self._path: Optional[str] = None
        self._host, self._port = "localhost", 0
        if address.startswith("unix:") or address.startswith("/"):
            self._path = address[len("unix:"):] if address.startswith("unix:") else address
        else:
            url = urlsplit(address)
            if url.scheme != "http" or url.hostname not in ("127.0.0.1", "::1") or not url.port:
                raise ValueError("the address is `unix:PATH` or `http://127.0.0.1:PORT`")
            self._host, self._port = url.hostname, url.port
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json"}
        if secret is not None:
            proof = base64.b64encode(f"{agent}:{secret}".encode()).decode()
            self._headers["Authorization"] = f"Basic {proof}"

    @classmethod
    def from_environment(cls, timeout: float = 60.0) -> "HoldgateClient":
        """The client of a program under `holdgate run`."""
        address = os.environ.get("HOLDGATE_TOOL_CALLS")
        if not address:
            raise HoldgateError("HOLDGATE_TOOL_CALLS does not name the listener of tool calls")
        agent = os.environ.get("HOLDGATE_AGENT")
        secret = os.environ.get("HOLDGATE_AGENT_TOKEN") if agent else None
        return cls(address, secret, agent, timeout)

    def judge(self, tool: str, input: Any, call: Optional[str] = None) -> Judgement:
        """Asks about one call. A call that a person must decide is kept waiting for a while."""
        question = {"tool": tool, "input": input, "call": call}
        body = json.dumps(question, allow_nan=False).encode()
        connection = self._connection()
        try:
            connection.request("POST", _PATH, body, self._headers)
            response = connection.getresponse()
            status, answer = response.status, response.read(_LARGEST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise HoldgateError(f"Holdgate does not answer: {error}") from error
        finally:
            connection.close()
        return _judgement(status, answer)

    def guard(self, tool: str) -> Callable[[_Tool], _Tool]:
        """Decorates a function that is a tool: it runs only where Holdgate allows the call, and
        raises `Refused` otherwise. Its arguments, by name, are what is judged."""

        def guarded(function: _Tool) -> _Tool:
            signature = inspect.signature(function)

            def ask(args: Any, kwargs: Mapping[str, Any]) -> None:
                judgement = self.judge(tool, _named(signature, args, kwargs))
                if not judgement.allowed:
                    raise Refused(judgement)

            if inspect.iscoroutinefunction(function):

                @functools.wraps(function)
                async def later(*args: Any, **kwargs: Any) -> Any:
                    await asyncio.to_thread(ask, args, kwargs)
                    return await function(*args, **kwargs)

                return later  # type: ignore[return-value]

            @functools.wraps(function)
            def now(*args: Any, **kwargs: Any) -> Any:
                ask(args, kwargs)
                return function(*args, **kwargs)

            return now  # type: ignore[return-value]

        return guarded

    def _connection(self) -> http.client.HTTPConnection:
        if self._path is not None:
            return _UnixConnection(self._path, self._timeout)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _named(signature: inspect.Signature, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        else:
            named[name] = value
    return named


def _judgement(status: int, answer: bytes) -> Judgement:
    try:
        told = json.loads(answer)
        verdict, message = told["verdict"], told["message"]
        hold = told.get("hold") or {}
        judgement = Judgement(verdict, told.get("reason"), message, told.get("request_id"), hold.get("id"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HoldgateError(f"what listens there gave no verdict (status {status})") from error
    if status not in _JUDGED or verdict not in _VERDICTS or (status != 200 and verdict == "allow"):
        raise HoldgateError(f"{message} (status {status})")
    return judgement
