"""What a tool is, and what it may take."""

import pytest

import novasonic
from novasonic import ConfigError, Tool, ToolContext, ToolLimits
from novasonic._toolbox import Toolbox


def weather(city: str) -> str:
    """Tell the weather."""
    return f"fine in {city}"


async def approve(request):
    return True


def test_a_tool_is_still_the_function():
    tool = novasonic.tool(weather)
    assert isinstance(tool, Tool)
    assert tool("Paris") == "fine in Paris"
    assert tool.function is weather
    assert (tool.approval, tool.timeout, tool.manual) == (False, None, False)


def test_a_tool_is_configured_where_it_is_declared():
    @novasonic.tool(name="get-weather", description="When asked for rain.", approval=True, timeout=5)
    async def lookup(city: str):
        pass

    assert (lookup.name, lookup.description, lookup.approval, lookup.timeout) == (
        "get-weather",
        "When asked for rain.",
        True,
        5,
    )
    assert novasonic.tool(weather, approval=approve).approval is approve


def test_a_tool_without_a_function_is_manual():
    tool = Tool.from_schema("lookup", "Look up.", {"type": "object"})
    assert tool.manual
    with pytest.raises(ConfigError, match="send_tool_result"):
        tool()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "get weather"}, "named 'get weather'"),
        ({"name": "a" * 65}, "1 to 64"),
        ({"name": "wetter\n"}, "1 to 64"),
        ({"name": "größe"}, "1 to 64"),
        ({"description": " "}, "no description"),
        ({"timeout": 0}, "timeout 0"),
        ({"timeout": float("nan")}, "timeout nan"),
        ({"timeout": 10**400}, "timeout 1000"),
        ({"timeout": True}, "timeout True"),
        ({"timeout": 20_000_000}, "timeout 20000000"),
        ({"approval": lambda request: True}, "not async"),
        ({"approval": None}, "not async"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words) as caught:
        novasonic.tool(weather, **settings)
    assert caught.value.code == "invalid_tool"
    assert caught.value.cure


def test_an_approver_may_be_an_object():
    class Approver:
        async def __call__(self, request):
            return True

    assert callable(novasonic.tool(weather, approval=Approver()).approval)


@pytest.mark.parametrize("thing", [5, "weather", novasonic.tool(weather)])
def test_only_functions_become_tools(thing):
    with pytest.raises(ConfigError, match=r"tool\(\) was given"):
        novasonic.tool(thing)


def test_a_manual_tool_cannot_wait_for_approval():
    with pytest.raises(ConfigError, match="no function"):
        Tool.from_schema("lookup", "Look up.", {"type": "object"}, approval=True)


def test_names_are_unique_and_tools_are_tools():
    with pytest.raises(ConfigError, match="Two tools are named 'weather'") as caught:
        Toolbox([novasonic.tool(weather), novasonic.tool(weather)])
    assert caught.value.code == "invalid_tool"
    with pytest.raises(ConfigError, match="tools holds a function") as caught:
        Toolbox([weather])
    assert caught.value.code == "invalid_tool"


def test_a_repr_shows_no_state():
    assert "secret" not in repr(ToolContext("s", 1, "c", {"token": "secret"}))
    assert repr(novasonic.tool(weather)) == "Tool(name='weather', approval=False, timeout=None)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 0),
        ("timeout", float("inf")),
        ("timeout", "20"),
        ("approval_timeout", -1),
        ("concurrent", 0),
        ("concurrent", 1.5),
        ("per_minute", 0),
        ("per_turn", True),
        ("result_bytes", 511),
        ("result_bytes", 499_001),
    ],
)
def test_limits_are_checked(name, value):
    with pytest.raises(ConfigError, match=f"ToolLimits.{name}") as caught:
        ToolLimits(**{name: value})
    assert caught.value.code == "invalid_tool_limits"


def test_limits_have_the_documented_defaults():
    assert ToolLimits() == ToolLimits(
        timeout=20.0, concurrent=4, per_minute=60, per_turn=10, result_bytes=16_384, approval_timeout=60.0
    )
