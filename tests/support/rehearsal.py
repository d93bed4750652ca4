"""The deployment of examples/deploy/, each container's process played by one of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from deployfiles import DEPLOY, ROOT, compose, exchange, stages
from processsupport import free_port, wait_for_port
from services import postgres_server
from websupport import emulator_environment

from novasonic.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "a password of the rehearsal"
NGINX = "/usr/sbin/nginx"
STOP_SECONDS = 40


class Worker:
    """What a container of the image would be: its folder, its environment and the process its entry point became."""

    def __init__(self, service: dict, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.port = int(environment["PORT"])
        self.service = service
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, cwd=self.folder, env=self.environment)
        wait_for_port(self.port, self.process)

    def run(self, command: list[str], **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, timeout=90, text=True, check=False, **options
        )

    def stop_hook(self) -> None:
        for hook in self.service["pre_stop"]:
            assert self.run(hook["command"]).returncode == 0, hook

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


class Deployment:
    """All of it, running."""

    def __init__(self, emulator, workers: list[Worker], port: int, certificate: Path, site) -> None:
        self.emulator = emulator
        self.workers = workers
        self.port = port
        self.certificate = certificate
        self.health_command: list[str] = site.command("HEALTHCHECK")

    def is_healthy(self, worker: Worker) -> bool:
        return worker.run(self.health_command).returncode == 0

    def manage(self, *arguments: str, **environment: str) -> str:
        worker = self.workers[0]
        result = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=worker.folder,
            env={**worker.environment, **environment},
            timeout=60,
            text=True,
            check=True,
            stdout=subprocess.PIPE,
        )
        return result.stdout


def say(what: str) -> None:
    print(f"rehearsal: {what}", flush=True)


@contextmanager
def deployment(workers: int = 2) -> Iterator[Deployment]:
    """Follow the files from the copying of the sources to a site that answers on HTTPS."""
    site = stages()["site"]
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="novasonic-deploy-")))
        if os.geteuid() == 0:
            root.chmod(0o755)
        ports = [free_port() for _ in range(workers)]
        names = [f"worker-{number + 1}" for number in range(workers)]
        plan = compose({**os.environ, "POSTGRES_PASSWORD": "secret"})
        emulator = stack.enter_context(Emulator(brain="parrot", speed=4))
        hosts = {
            "postgres:5432": _postgres(stack, plan["services"]["postgres"]),
            "redis:6379": _redis(stack, plan["services"]["redis"]),
        }
        folder = _image(site, root)
        made = [
            Worker(
                plan["services"][name],
                folder,
                _environment(site, plan["services"][name], root, hosts, emulator, name, port),
            )
            for name, port in zip(names, ports, strict=True)
        ]
        entrypoint = site.command("ENTRYPOINT")
        say("migrate, by the entry point")
        assert made[0].run([*entrypoint, *plan["services"]["migrate"]["command"]]).returncode == 0
        say(f"{workers} workers, by the entry point")
        for worker in made:
            stack.callback(_end, worker)
            worker.start([*entrypoint, *site.command("CMD")])
        port, certificate = _nginx(stack, root, dict(zip(names, ports, strict=True)))
        yield Deployment(emulator, made, port, certificate, site)


def _image(site, root: Path) -> Path:
    """Do what the Dockerfile says to the folder that stands for the image's `/`."""
    folder = root
    environment = {**os.environ, **_paths(site.environment, root), **_commands_of_this_environment()}
    for instruction, value in site.steps:
        if instruction == "WORKDIR":
            folder = root / value.strip("/")
            folder.mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY" and "--from=" not in value:
            *sources, target = value.split()
            for source in sources:
                _copy(ROOT / source, folder / target)
        elif instruction == "RUN" and "manage.py" in value:
            say(value)
            subprocess.run(["/bin/sh", "-c", value], cwd=folder, env=environment, check=True, timeout=60)
        elif instruction in {"RUN", "COPY", "USER"}:
            say(f"not here: {instruction} {value}")
    return folder


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _paths(environment: dict[str, str], root: Path) -> dict[str, str]:
    moved = {name: f"{root}{value}" if value.startswith("/") else value for name, value in environment.items()}
    for value in moved.values():
        if value.startswith(str(root)):
            Path(value).parent.mkdir(parents=True, exist_ok=True)
    return moved


def _commands_of_this_environment() -> dict[str, str]:
    """An image has one Python on its PATH, and novasonic in it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    sources = os.pathsep.join(filter(None, [str(ROOT / "python"), os.environ.get("PYTHONPATH")]))
    return {"PATH": path, "PYTHONPATH": sources}


def _environment(site, service, root, hosts, emulator, name, port) -> dict[str, str]:
    given = {key: str(value) for key, value in service["environment"].items()}
    for key, value in given.items():
        for host, here in hosts.items():
            value = value.replace(host, here)
        given[key] = value
    assert not any(host in value for host in hosts for value in given.values())
    return {
        **os.environ,
        **_paths(site.environment, root),
        **_commands_of_this_environment(),
        **given,
        **emulator_environment(emulator),
        # Of its own for each container there; one file system here.
        "PID_FILE": f"{root}/{name}.pid",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        # What site.env holds.
        "SECRET_KEY": "of the rehearsal, long enough for Django's own check of it",
        "SITE_HOSTS": "localhost",
    }


def _postgres(stack: ExitStack, service: dict) -> str:
    url = stack.enter_context(postgres_server())
    wanted = service["environment"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{wanted["POSTGRES_USER"]}" LOGIN')
        connection.execute(f'CREATE DATABASE "{wanted["POSTGRES_DB"]}" OWNER "{wanted["POSTGRES_USER"]}"')
    return url.split("@")[1].split("/")[0]


def _redis(stack: ExitStack, service: dict) -> str:
    port = free_port()
    command = [*service["command"], "--port", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    stack.callback(_kill, process)
    wait_for_port(port, process)
    return f"127.0.0.1:{port}"


def _nginx(stack: ExitStack, root: Path, workers: dict[str, int]) -> tuple[int, Path]:
    port, plain = free_port(), free_port()
    certificate = _certificate(root / "etc/nginx/tls")
    text = (DEPLOY / "nginx.conf").read_text()
    text = exchange(
        text,
        {
            **{f"{name}:8000": f"127.0.0.1:{port}" for name, port in workers.items()},
            "listen 8080": f"listen 127.0.0.1:{plain}",
            "listen 8443": f"listen 127.0.0.1:{port}",
            "/etc/nginx/tls/": f"{root}/etc/nginx/tls/",
            "root /srv": f"root {root}/srv",
            " /tmp/": f" {root}/tmp/",
            "/dev/stdout": f"{root}/access.log",
            "\npid /tmp/": f"\ndaemon off;\npid {root}/tmp/",
        },
    )
    (root / "tmp").mkdir(exist_ok=True)
    configuration = root / "nginx.conf"
    configuration.write_text(text)
    say("nginx -t, then nginx")
    subprocess.run([NGINX, "-q", "-t", "-c", configuration], check=True, timeout=20)
    process = subprocess.Popen([NGINX, "-c", configuration])
    stack.callback(_terminate, process)
    wait_for_port(port, process)
    return port, certificate


def _certificate(folder: Path) -> Path:
    folder.mkdir(parents=True)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "tls.key", "-out", folder / "tls.crt"),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return folder / "tls.crt"


def _end(worker: Worker) -> None:
    if worker.process is not None:
        _terminate(worker.process)


def _terminate(process: subprocess.Popen[bytes]) -> None:
    # Killed at once, a worker would take with it what coverage has measured.
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def main() -> int:
    """Start it all, and leave it running until Ctrl-C."""
    with deployment() as running:
        running.manage(
            "createsuperuser",
            "--noinput",
            "--username=rehearsal",
            "--email=",
            DJANGO_SUPERUSER_PASSWORD=PASSWORD,
        )
        healthy = [running.is_healthy(worker) for worker in running.workers]
        say(f"health checks: {healthy}")
        if not all(healthy):
            return 1
        if "--stay" in sys.argv:
            say(f"https://localhost:{running.port}/ for the user 'rehearsal' with '{PASSWORD}'; Ctrl-C ends it")
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    say("done; tests/deploy/test_rehearsal.py talks to it and drains it")
    return 0
