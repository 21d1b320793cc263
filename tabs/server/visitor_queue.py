"""The queue of events: two computed at a time, each visitor's in the order in which they came."""

from typing import Any

from gradio.queueing import Event, Queue

WORKERS = 2  # events computed at a time: one for each core of a small server
POLL_S = 0.005  # pause between two looks at the queue while nothing can be started
STATUS_S = 1  # between two messages about their place to those who wait


class VisitorQueue(Queue):
    """Gradio's queue with one more rule: an event waits until its visitor's earlier ones ended.

    Gradio itself keeps the order only with one worker and within one concurrency id. A visitor is
    a page or a client with a session; an API call without a session is a visitor of its own. Who
    has waited longest comes first.
    """

    def __init__(self, max_size: int | None, blocks: Any) -> None:
        super().__init__(
            live_updates=False,
            concurrency_count=WORKERS,
            update_intervals=STATUS_S,
            max_size=max_size,
            blocks=blocks,
            default_concurrency_limit=WORKERS,
        )
        self.sleep_when_free = POLL_S
        self.progress_update_sleep_when_free = STATUS_S  # no event reports its progress
        self.ANALYTICS_MAX_EVENTS = 100

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """The next event to compute, taken off its queue; None while each must wait."""
        running = {event.session_hash for job in self.active_jobs if job for event in job}
        queues = self.event_queue_per_concurrency_id.values()
        waiting = [event for queue in queues for event in queue.queue]
        for event in sorted(waiting, key=lambda event: event.enqueue_time):
            if event.session_hash not in running:
                self.event_queue_per_concurrency_id[event.concurrency_id].queue.remove(event)
                return [event], False, event.concurrency_id
        return None

    def is_idle(self) -> bool:
        """Whether no event is computed and none waits."""
        return len(self) == 0 and not any(self.active_jobs)

    def compute_analytics_summary(self, records: list) -> dict:  # noqa: ARG002
        """Nothing: Gradio would make statistics with pandas after each event."""
        return self.cached_event_analytics_summary
