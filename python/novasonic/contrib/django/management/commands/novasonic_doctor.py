"""``manage.py novasonic_doctor``: what stands between this site and a conversation."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand

from novasonic.contrib.django import grant
from novasonic.contrib.django.conf import get_settings
from novasonic.contrib.django.doctor import Finding, examine
from novasonic.contrib.django.doctor.aws import region_of

if TYPE_CHECKING:
    from argparse import ArgumentParser

_MARKS = {"ok": "✓", "note": "!", "failed": "✗", "skipped": "-"}
_WIDTH = 12


class Command(BaseCommand):
    """Look at credentials, region, model, clock, server, layer, Redis, database and static files."""

    help = (
        "Look at what stands between this site and a conversation: ticks and cures. Exit code 1 where something fails."
    )
    # It is for sites whose checks fail.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take ``--live`` and ``--json``."""
        live = "open a real stream too, send it 100 ms of silence, and print the IAM policy that it takes"
        parser.add_argument("--live", action="store_true", help=live)
        parser.add_argument("--json", action="store_true", help="print one JSON object instead")

    def handle(self, *_: Any, **options: Any) -> None:
        """Print findings as they are made."""
        findings = []
        for finding in examine(handshake=options["live"]):
            findings.append(finding)
            if not options["json"]:
                self._show(finding)
        policy = _policy() if options["live"] else None
        failed = any(finding.state == "failed" for finding in findings)
        if options["json"]:
            told = {"ok": not failed, "findings": [asdict(finding) for finding in findings], "policy": policy}
            self.stdout.write(json.dumps(told, indent=2, ensure_ascii=False))
        elif policy is not None:
            self.stdout.write("\nThe IAM policy that conversations take:\n" + json.dumps(policy, indent=2))
        if failed:
            raise SystemExit(1)

    def _show(self, finding: Finding) -> None:
        style = {"ok": self.style.SUCCESS, "note": self.style.WARNING, "failed": self.style.ERROR}.get(finding.state)
        mark = _mark(finding.state, getattr(self.stdout, "encoding", None))
        self.stdout.write(f"{style(mark) if style else mark} {finding.name:<{_WIDTH}}{finding.message}")
        if finding.cure is not None and finding.state != "ok":
            self.stdout.write(f"{'':{_WIDTH + 2}}{finding.cure}")


def _mark(state: str, encoding: str | None) -> str:
    mark = _MARKS[state]
    try:
        mark.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        # A terminal of plain ASCII.
        return {"ok": "+", "failed": "x"}[state]
    return mark


def _policy() -> dict[str, Any] | None:
    try:
        settings = get_settings()
        return grant.policy(settings.model, region_of(settings) or "us-east-1")
    except Exception:
        return None
