"""Asking a process how it stands, as a kubelet and a Prometheus do."""

import json
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from closeout.worker.monitoring.metrics import METRICS, Metric
from tests.front_door.support import Child

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Asking:
    """A process that listens at ``url``."""

    url: str

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, timeout=60, trust_env=False)

    def ready(self) -> tuple[int, dict[str, Any]]:
        """The status, and what it says."""
        answer = self.get("/readyz")
        found = json.loads(answer.text)
        assert found["ready"] == (answer.status_code == 200)
        return answer.status_code, found["reasons"]

    def scrape(self) -> "Scrape":
        """Metrics in both formats that there are; the first is the one to look at."""
        answer = self.get("/metrics", accept="text/plain;version=0.0.4")
        assert answer.status_code == 200
        other = self.get("/metrics", accept="application/openmetrics-text; version=1.0.0").text
        families = list(openmetrics(other))  # type: ignore[no-untyped-call]  # it has no types
        assert {family.name for family in families} >= {"closeout_build", "process_cpu_seconds"}
        return Scrape(answer.text)


class Scrape:
    """Metrics as Prometheus' own parser reads them."""

    def __init__(self, text: str) -> None:
        self.samples: dict[str, dict[Labels, float]] = {}
        self.families = {family.name: family for family in plain(text)}
        for family in self.families.values():
            for sample in family.samples:
                self.samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value

    def value(self, name: str, **labels: str) -> float:
        return self.samples[name][tuple(sorted(labels.items()))]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series that have these labels."""
        wanted = set(labels.items())
        return sum(value for found, value in self.samples[name].items() if wanted <= set(found))

    def metrics(self) -> dict[str, Metric]:
        """What of the table was told; each as the table says, with no other label nor value."""
        found = {}
        for family in self.families.values():
            if family.name.startswith("process_"):
                continue
            metric = METRICS[family.name + {"counter": "_total"}.get(family.type, "")]
            assert family.documentation == metric.help
            assert family.type == {"info": "gauge"}.get(metric.type, metric.type)
            for sample in family.samples:
                labels = {name: value for name, value in sample.labels.items() if name != "le"}
                assert set(labels) == set(metric.labels), sample
                assert all(values is None or labels[name] in values for name, values in metric.labels.items()), sample
            found[metric.name] = metric
        return found


def asking(child: Child) -> Asking:
    """Wait until it says where it listens."""
    return Asking(child.wait_for_line("/metrics are on").split(" are on ")[1].split(";")[0].strip())
