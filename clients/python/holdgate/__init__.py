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
    """There is no verdict: nobody answers, the secret is wrong, or the question is no JSON."""


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
        try:
            body = json.dumps(question, allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise HoldgateError(f"what the tool is given is not JSON: {error}") from error
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
        raises `Refused` otherwise. Its arguments, by name, are what is judged, without the object
        that it is a method of."""

        def guarded(function: _Tool) -> _Tool:
            signature = inspect.signature(function)

            def ask(args: Any, kwargs: Mapping[str, Any]) -> None:
                bound = signature.bind(*args, **kwargs)
                judgement = self.judge(tool, _named(bound, _is_method(function, args)))
                if not judgement.allowed:
                    raise Refused(judgement)

            if _is(inspect.isasyncgenfunction, function):

                @functools.wraps(function)
                async def each(*args: Any, **kwargs: Any) -> Any:
                    await asyncio.to_thread(ask, args, kwargs)
                    stream = function(*args, **kwargs)
                    try:
                        async for one in stream:
                            yield one
                    finally:
                        await stream.aclose()

                return each  # type: ignore[return-value]

            if _is(inspect.iscoroutinefunction, function):

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


def _is(kind: Callable[[Any], bool], function: Any) -> bool:
    """Whether a function is of a kind, or an object is that is called as one."""
    return kind(function) or kind(getattr(function, "__call__", None))


def _is_method(function: Any, args: Any) -> bool:
    """Whether the first argument is the object, or the class, that the function is a method of."""
    name = getattr(function, "__name__", None)
    if not args or name is None:
        return False
    owner = args[0] if isinstance(args[0], type) else type(args[0])
    for base in owner.__mro__:
        found = base.__dict__.get(name)
        found = found.__func__ if isinstance(found, classmethod) else found
        # What is found through a static method is given no object.
        if callable(found) and not isinstance(found, staticmethod) and inspect.unwrap(found) is function:
            return True
    return False


def _named(bound: inspect.BoundArguments, is_method: bool) -> dict[str, Any]:
    bound.apply_defaults()
    given = list(bound.arguments.items())[1 if is_method else 0:]
    named: dict[str, Any] = {}
    for name, value in given:
        kind = bound.signature.parameters[name].kind
        # Nothing that is given takes the place of something else.
        if kind is inspect.Parameter.VAR_KEYWORD and not value.keys() & dict(given).keys():
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
