"""The status in the text format of Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

import resource
from typing import Any


def metrics(status: dict[str, Any]) -> str:
    """From what `Service.status` says to lines for a scraper."""
    lines: list[str] = []

    def put(name: str, kind: str, text: str, *samples: tuple[str, float]) -> None:
        lines.extend((f"# HELP secured_node_{name} {text}", f"# TYPE secured_node_{name} {kind}"))
        lines.extend(f"secured_node_{name}{labels} {value}" for labels, value in samples)

    put("up", "gauge", "The daemon runs.", ("", 1))
    put("uptime_seconds", "counter", "Seconds since the start.", ("", status["uptime_s"]))
    put("members", "gauge", "Members of the federation.", ("", status["members"]))
    put("links_up", "gauge", "Members to which there is a link.", ("", status["links_up"]))
    put("records", "gauge", "Signed records that stand here.", ("", status["records"]))
    put("jobs", "gauge", "Jobs by state.", *((f'{{state="{s}"}}', n) for s, n in status["jobs"].items()))
    put(
        "refusals_total",
        "counter",
        "Refusals by code.",
        *((f'{{code="{c}"}}', n) for c, n in status["refusals"].items()),
    )
    for field, text in (
        ("rho_max", "may be spent on"),
        ("rho_spent", "was spent on"),
        ("rho_set_aside", "is set aside for"),
    ):
        budgets = ((f'{{data="{budget["data"]}"}}', budget[field]) for budget in status["budgets"])
        put(f"privacy_{field}", "gauge", f"What {text} noisy sums of a data set, in zCDP.", *budgets)
    for field, text in (("sent_bytes", "Bytes sent to a member."), ("received_bytes", "Bytes received from a member.")):
        samples = ((f'{{peer="{link["peer"]}"}}', link[field]) for link in status["links"])
        put(f"link_{field}_total", "counter", text, *samples)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    put(
        "cpu_seconds_total", "counter", "Processor time of the daemon.", ("", round(usage.ru_utime + usage.ru_stime, 3))
    )
    put("peak_rss_bytes", "gauge", "Largest resident memory of the daemon so far.", ("", usage.ru_maxrss * 1024))
    return "\n".join(lines) + "\n"
