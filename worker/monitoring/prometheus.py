"""The metrics as Prometheus reads them. Knows prometheus-client, which only those who ask for metrics have."""

from collections.abc import Iterable, Iterator
from math import isinf

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.exposition import choose_encoder

from closeout.worker.monitoring.metrics import METRICS, Metric
from closeout.worker.monitoring.samples import Sample
from closeout.worker.runtime.progress import Histogram


class Exposition:
    """Writes samples, and what the system knows of the process, in the format that a scraper asks for."""

    def __init__(self) -> None:
        self._samples: Iterable[Sample] = ()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def write(self, samples: Iterable[Sample], accept: str) -> tuple[bytes, str]:
        """The text, and its content type; ``accept`` is the header of the request."""
        self._samples = samples
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type

    def collect(self) -> Iterator[Family]:
        """What the registry asks its collectors for."""
        families: dict[str, Family] = {}
        for sample in self._samples:
            metric = METRICS[sample.metric]
            if metric.name not in families:
                families[metric.name] = _family(metric)
            _add(families[metric.name], metric, sample)
        yield from families.values()


def _family(metric: Metric) -> Family:
    labels = list(metric.labels)
    match metric.type:
        case "counter":
            return CounterMetricFamily(metric.name, metric.help, labels=labels)
        case "gauge":
            return GaugeMetricFamily(metric.name, metric.help, labels=labels)
        case "histogram":
            return HistogramMetricFamily(metric.name, metric.help, labels=labels)
        case "info":
            return InfoMetricFamily(metric.name.removesuffix("_info"), metric.help)


def _add(family: Family, metric: Metric, sample: Sample) -> None:
    labels = list(sample.labels)
    if isinstance(family, InfoMetricFamily):
        family.add_metric([], dict(zip(metric.labels, labels, strict=True)))
    elif isinstance(family, HistogramMetricFamily) and isinstance(sample.value, Histogram):
        buckets = [("+Inf" if isinf(bound) else str(float(bound)), count) for bound, count in sample.value.cumulative()]
        family.add_metric(labels, buckets, sample.value.sum)
    elif isinstance(family, CounterMetricFamily | GaugeMetricFamily) and not isinstance(sample.value, Histogram):
        family.add_metric(labels, sample.value)
    else:
        raise TypeError(f"{metric.name} is a {metric.type}: {sample.value!r}")
