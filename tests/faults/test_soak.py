"""Two minutes of what `make soak` does for an hour."""

import asyncio

import pytest
import soak


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nothing_is_left_behind():
    samples, counts = asyncio.run(soak.run(120))
    grown_bytes, grown_descriptors = soak.slopes(samples)
    print(f"{dict(counts)}; memory {grown_bytes / 1e6:+.2f} MB, descriptors {grown_descriptors:+.2f}")
    assert counts["Renewed"] > 200
    assert grown_bytes < soak.MOST_BYTES
    assert grown_descriptors < soak.MOST_DESCRIPTORS
