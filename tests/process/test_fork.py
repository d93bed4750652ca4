"""Forks: what belongs to the parent stays there, what is made in the child works."""

import pytest


def run(start, how, program="fork"):
    process = start(program, how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "panicked" not in errors
    assert "Error" not in errors, errors


@pytest.mark.parametrize("how", ["in-a-coroutine", "beside-a-loop"])
def test_a_fork_while_streaming(start, how):
    for _ in range(3):
        run(start, how)


def test_a_fork_before_the_first_session_is_no_fork_at_all(start):
    run(start, "untouched")


def test_a_fork_while_a_raw_stream_is_open(start):
    run(start, "in-a-coroutine", program="fork_stream")
