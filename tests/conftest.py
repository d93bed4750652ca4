"""The strict world every test runs in."""

import asyncio
import os
import signal

import pytest

# Read whenever a loop is made: late callbacks are logged, coroutines never awaited are warned of.
os.environ["PYTHONASYNCIODEBUG"] = "1"
# No test may find an account, a region or a metadata service on the machine it runs on.
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.devnull
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
for name in [name for name in os.environ if name.startswith("AWS_")]:
    if name not in {"AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}:
        del os.environ[name]


# A shell that starts us in the background ignores Ctrl-C, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure():
    # pytest-django has read it; the sites that tests start as processes have settings of their own.
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


@pytest.fixture
def eventually():
    """Waits for what another thread or process brings about; ten seconds mean that it never will."""

    async def eventually(condition):
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - nobody over there can set an event of ours
                await asyncio.sleep(0.005)

    return eventually
