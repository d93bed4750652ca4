"""What is cheap to know of the deployment's files, beside their rehearsal."""

import re
import subprocess

import pytest

pytest.importorskip("yaml")
from deployfiles import DEPLOY, ROOT, compose, stages

PLAN = compose({"POSTGRES_PASSWORD": "x"})
NGINX = (DEPLOY / "nginx.conf").read_text()
ENTRYPOINT = (DEPLOY / "entrypoint").read_text()


def test_every_file_that_the_image_copies_is_there():
    for stage in stages().values():
        for value in stage.values("COPY"):
            if "--from=" not in value:
                for source in value.split()[:-1]:
                    assert (ROOT / source).exists(), source


def test_the_image_runs_as_nobody_special_and_has_a_health_check():
    site = stages()["site"]
    assert site.values("USER")[-1] == "10001"
    assert site.command("HEALTHCHECK") == ["./healthcheck"]
    assert site.command("ENTRYPOINT") == ["./entrypoint"]
    steps = [name for name, _ in site.steps]
    assert steps.index("USER") > max(number for number, name in enumerate(steps) if name == "COPY")


def test_the_rust_that_builds_it_is_new_enough():
    floor = re.search(r'^rust-version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert stages()["wheel"].base.startswith(f"rust:{floor}-")


def test_workers_are_drained_before_they_are_stopped_and_have_the_time():
    for name in ("worker-1", "worker-2"):
        worker = PLAN["services"][name]
        assert worker["pre_stop"] == [{"command": ["./drain"]}]
        # NOVASONIC["DRAIN_SECONDS"] is 30 by default, and uvicorn has ten seconds more.
        assert int(worker["stop_grace_period"].rstrip("s")) >= 45
        assert worker["cap_drop"] == ["ALL"]
        assert worker["read_only"] is True
        assert f"server {name}:8000 " in NGINX


def test_no_secret_stands_in_a_file():
    for service in PLAN["services"].values():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key or "SECRET" in key:
                assert value == "x", key
    assert re.search(r"^SECRET_KEY=$", (DEPLOY / "site.env.example").read_text(), re.MULTILINE)


def test_the_proxy_waits_longer_for_a_page_than_its_heartbeat():
    socket = re.search(r"location /novasonic/ws/ \{(.*?)\}", NGINX, re.DOTALL)[1]
    assert int(re.search(r"proxy_read_timeout (\d+)s", socket)[1]) > 2 * 25


def test_the_server_has_a_limit_of_its_own_for_messages():
    assert "--ws-max-size 131072" in ENTRYPOINT
    assert "--ws-per-message-deflate false" in ENTRYPOINT
    assert "--lifespan off" in ENTRYPOINT


@pytest.mark.parametrize("name", ["entrypoint", "drain"])
def test_the_scripts_are_shell_that_parses(name):
    subprocess.run(["/bin/sh", "-n", DEPLOY / name], check=True)
