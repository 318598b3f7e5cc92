"""The Prometheus metrics of this package, in the registry of whoever builds it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_REQUEST_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_QUEUE_BUCKETS_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300)


class KubeMetrics:
    """Made once per registry and handed to the client, the informers, the work queue and the recorder."""

    def __init__(self, registry: CollectorRegistry) -> None:
        resource = ("resource",)
        self.requests = Counter(
            "conch_kube_requests",
            "Requests to the API server, each attempt counted; code is 'none' when no answer came.",
            ("verb", "resource", "code"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "conch_kube_request_duration_seconds",
            "Time to the whole answer of one attempt; watches are left out.",
            ("verb", "resource"),
            buckets=_REQUEST_BUCKETS_SECONDS,
            registry=registry,
        )
        self.lists = Counter(
            "conch_informer_lists", "Full lists, the first included.", (*resource, "cause"), registry=registry
        )
        self.watch_ends = Counter(
            "conch_informer_watch_ends", "Watches that ended, by cause.", (*resource, "cause"), registry=registry
        )
        self.watch_events = Counter(
            "conch_informer_events", "Events from watches, bookmarks included.", (*resource, "type"), registry=registry
        )
        self.cached_objects = Gauge(
            "conch_informer_objects", "Objects in the informer's store.", resource, registry=registry
        )
        self.callback_errors = Counter(
            "conch_informer_callback_errors", "Change callbacks that raised.", resource, registry=registry
        )
        self.queue_depth = Gauge("conch_workqueue_depth", "Keys that wait for a worker.", registry=registry)
        self.queue_oldest_seconds = Gauge(
            "conch_workqueue_oldest_seconds", "How long the oldest of them has waited.", registry=registry
        )
        self.queue_adds = Counter("conch_workqueue_adds", "Keys that became due.", ("priority",), registry=registry)
        self.queue_retries = Counter("conch_workqueue_retries", "Keys put back after a failure.", registry=registry)
        self.queue_wait_seconds = Histogram(
            "conch_workqueue_wait_seconds",
            "Time from becoming due to a worker.",
            buckets=_QUEUE_BUCKETS_SECONDS,
            registry=registry,
        )
        self.queue_work_seconds = Histogram(
            "conch_workqueue_work_seconds",
            "Time a worker held a key.",
            buckets=_QUEUE_BUCKETS_SECONDS,
            registry=registry,
        )
        self.recorded_events = Counter(
            "conch_events", "Kubernetes events by what became of them.", ("outcome",), registry=registry
        )
