"""Retries with exponential backoff."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)


def retry(
    task: Callable[[], T],
    *,
    is_retryable: Callable[[Exception], bool],
    explain: Callable[[Exception], str],
    max_tries: int,
    backoff_s: float,
    progress: Callable[[], int] = lambda: 0,
) -> T:
    """`task()`, tried again after retryable errors until `max_tries` in a row have failed.

    A try after which `progress()` is larger than ever restarts the count. The wait before the
    second try of a row is `backoff_s`, and doubles each time; `explain` describes the error in the
    log. The last error is raised.
    """
    failures = furthest = 0
    while True:
        try:
            return task()
        except Exception as error:
            reached = progress()
            failures = 1 if reached > furthest else failures + 1
            furthest = max(furthest, reached)
            if failures == max_tries or not is_retryable(error):
                raise
            wait = backoff_s * 2 ** (failures - 1)
            log.warning("%s; next try in %.0f s", explain(error), wait)
        time.sleep(wait)
