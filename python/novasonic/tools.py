"""Tools: functions of yours that the model may call.

::

    @novasonic.tool
    async def weather(city: Annotated[str, "In English."], context: novasonic.ToolContext) -> dict:
        \"\"\"Tell the weather.\"\"\"
        return await forecasts.of(city, user=context.state["user"])

    async with client.connect(tools=[weather], context={"user": user}) as session: ...

Who asks comes from the `ToolContext`, which the program fills, never from arguments, which the model makes up: what
somebody says, or writes into a text that a tool reads, can put any words into them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from novasonic._numbers import is_number
from novasonic.exceptions import ConfigError

if TYPE_CHECKING:
    from typing import NoReturn

    from novasonic._arguments import Arguments

__all__ = ["ApprovalRequest", "Approver", "Tool", "ToolContext", "ToolError", "ToolLimits", "tool"]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
# A day, as for other settings: anything above is a unit mistaken.
_MAX_SECONDS = 86_400.0
# Our own sentences to the model must fit.
_LEAST_RESULT_BYTES = 512
# One event of 1,000,000 bytes holds a result, as a JSON string of JSON: every quote and backslash once more. The core
# would refuse what does not fit, and the model wait for ever.
_MOST_RESULT_BYTES = 499_000


class ToolError(Exception):
    """Raised by a tool to tell the model in its own words why it has no result: ``ToolError("No such order.")``."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Who a tool is called for; given to a parameter annotated with it.

    Attributes:
        session_id: `Session.id`.
        turn: Number of the turn that the call belongs to; None outside a turn.
        call_id: The service's id of this call.
        state: What was given to ``connect(context=...)``: a user, a scope, a connection.
    """

    session_id: str
    turn: int | None
    call_id: str
    state: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A call that waits for a yes or no.

    Attributes:
        id: The service's id of the call.
        name: Name of the tool.
        arguments: What the model wants it called with, checked against the schema; a copy.
        context: Who it is for.
    """

    id: str
    name: str
    arguments: dict[str, Any] = field(repr=False)
    context: ToolContext


Approver: TypeAlias = Callable[[ApprovalRequest], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """What tools may take of a session.

    Args:
        timeout: How long one call may run, in seconds, and how long it may wait for others before that; a tool's own
            ``timeout`` replaces it.
        concurrent: How many run at once; the rest wait in line. A function in a thread counts until it returns, even
            after its timeout: a thread cannot be stopped.
        per_minute: How many calls are answered in any 60 seconds.
        per_turn: How many calls are answered in one turn. The model is told to stop when it calls more.
        result_bytes: How long a result may be, as JSON in UTF-8.
        approval_timeout: How long a call waits for its approval, in seconds; then it is denied.

    Raises:
        ConfigError: ``code="invalid_tool_limits"``: not a positive number, or ``result_bytes`` below 512 or above
            499,000.
    """

    timeout: float = 20.0
    concurrent: int = 4
    per_minute: int = 60
    per_turn: int = 10
    result_bytes: int = 16_384
    approval_timeout: float = 60.0

    def __post_init__(self) -> None:
        for name in ("timeout", "approval_timeout"):
            if not _is_seconds(value := getattr(self, name)):
                _refuse_limit(name, value, "seconds: a number above 0 and at most 86400")
        for name, least in (
            ("concurrent", 1),
            ("per_minute", 1),
            ("per_turn", 1),
            ("result_bytes", _LEAST_RESULT_BYTES),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                _refuse_limit(name, value, f"a whole number of at least {least}")
        if self.result_bytes > _MOST_RESULT_BYTES:
            _refuse_limit("result_bytes", self.result_bytes, f"at most {_MOST_RESULT_BYTES}")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Tool:
    """A function that the model may call. Made by `tool` or `from_schema`; called, it is still the function.

    Attributes:
        name: What the model calls it.
        description: What the model reads to know when to call it.
        schema: JSON Schema of its arguments, without references.
        approval: Whether somebody has to approve each call, or the async callable that does.
        timeout: How long a call may run, in seconds; None: as ``ToolLimits.timeout``.
        function: What runs; None where the program answers by ``Session.send_tool_result``.
    """

    name: str
    description: str = field(repr=False)
    schema: dict[str, Any] = field(repr=False)
    approval: bool | Approver = False
    timeout: float | None = None
    function: Callable[..., Any] | None = field(default=None, repr=False)
    arguments: Arguments = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.match(self.name):
            raise ConfigError(
                f"A tool is named {self.name!r}.",
                code="invalid_tool",
                cure="Use 1 to 64 of a-z, A-Z, 0-9, _ and -; give another name with tool(name=...).",
            )
        if not isinstance(self.description, str) or not self.description.strip():
            self._refuse("has no description", "Give the text that tells the model when to call it.")
        if self.timeout is not None and not _is_seconds(self.timeout):
            self._refuse(f"has the timeout {self.timeout!r}", "Give seconds: above 0 and at most 86400.")
        if not isinstance(self.approval, bool) and not _is_async(self.approval):
            self._refuse("has an approval that is not async", "Give True, False or an async function.")
        if self.manual and self.approval is not False:
            self._refuse("has an approval but no function", "Ask before you call session.send_tool_result().")

    @property
    def manual(self) -> bool:
        """Whether the program answers the calls itself, by ``Session.send_tool_result``."""
        return self.function is None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as if it had not been made a tool."""
        if self.function is None:
            self._refuse("has no function", "Its calls are answered by session.send_tool_result().")
        return self.function(*args, **kwargs)

    @classmethod
    def from_schema(
        cls,
        name: str,
        description: str,
        schema: dict[str, Any],
        function: Callable[..., Any] | None = None,
        *,
        approval: bool | Approver = False,
        timeout: float | None = None,
    ) -> Tool:
        """Make a tool of a JSON schema, for instance one of an MCP server.

        Args:
            name: What the model calls it.
            description: What the model reads to know when to call it.
            schema: JSON Schema of the arguments, an object. Properties it does not list are refused unless it has
                ``additionalProperties``. The service is told ``type``, ``properties`` and ``required`` of it, all it
                understands; references are written out.
            function: Called with the arguments by keyword; a parameter annotated `ToolContext` gets that. None: calls
                wait for ``Session.send_tool_result``, unchecked.
            approval: As for `tool`.
            timeout: As for `tool`.

        Raises:
            ConfigError: ``code="invalid_tool"``: a part does not do, or the function does not fit the schema.
        """
        from novasonic._jsonschema import SchemaError
        from novasonic._schema import described_by_schema

        try:
            described = described_by_schema(schema, function, ToolContext)
        except SchemaError as error:
            _refuse_tool(name, error)
        return cls(
            name=name,
            description=description,
            schema=described.schema,
            approval=approval,
            timeout=timeout,
            function=function,
            arguments=described.arguments,
        )

    def _refuse(self, what: str, cure: str) -> NoReturn:
        raise ConfigError(f"The tool {self.name!r} {what}.", code="invalid_tool", cure=cure)


@overload
def tool(
    function: Callable[..., Any],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    approval: bool | Approver = False,
    timeout: float | None = None,
) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    approval: bool | Approver = False,
    timeout: float | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    approval: bool | Approver = False,
    timeout: float | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a function: ``@tool``, ``@tool(approval=True)``, ``tool(thing.method)``.

    Async functions run on the event loop, others in a thread. What they return goes to the model as JSON: a dict as
    it is, anything else as ``{"result": ...}``. `ToolError` tells the model something in your words; any other
    exception is logged, and the model learns only that the tool failed.

    Args:
        function: Its parameters, all annotated, are the tool's; one annotated `ToolContext` is filled in and hidden
            from the model. ``Annotated[str, "words"]``, msgspec's ``Meta`` and Pydantic's ``Field`` describe a
            parameter, else the docstring does.
        name: What the model calls it; None: the function's name.
        description: When to call it; None: the first paragraph of the docstring, else the name.
        approval: True: each call waits for ``Session.approve``. An async callable: asked with an `ApprovalRequest`;
            only True lets the call run. A denied or forgotten call does not run.
        timeout: How long a call may run, in seconds; None: as ``ToolLimits.timeout``.

    Raises:
        ConfigError: ``code="invalid_tool"``: the function cannot be called by name with JSON arguments.
    """
    if function is None:

        def decorate(function: Callable[..., Any]) -> Tool:
            return tool(function, name=name, description=description, approval=approval, timeout=timeout)

        return decorate
    from novasonic._jsonschema import SchemaError
    from novasonic._schema import described_by_signature

    name = name or getattr(function, "__name__", None) or type(function).__name__
    if isinstance(function, Tool) or not callable(function):
        raise ConfigError(
            f"tool() was given a {type(function).__name__}.", code="invalid_tool", cure="Give a function."
        )
    try:
        described = described_by_signature(function, ToolContext)
    except SchemaError as error:
        _refuse_tool(name, error)
    return Tool(
        name=name,
        description=description or described.text or name.replace("_", " "),
        schema=described.schema,
        approval=approval,
        timeout=timeout,
        function=function,
        arguments=described.arguments,
    )


def _refuse_tool(name: str, error: Exception) -> NoReturn:
    raise ConfigError(
        f"The tool {name!r} cannot be used: {error}.", code="invalid_tool", cure=getattr(error, "cure", None)
    ) from error


def _refuse_limit(name: str, value: object, wanted: str) -> NoReturn:
    raise ConfigError(f"ToolLimits.{name} is {value!r}.", code="invalid_tool_limits", cure=f"Give {wanted}.")


def _is_seconds(value: object) -> bool:
    return is_number(value) and 0 < value <= _MAX_SECONDS


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
