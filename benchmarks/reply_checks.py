"""Rules for every reply: no internals, and an error is one short sentence."""

import http
import re

from benchmarks.visitor import Reply

STATUS_PHRASES = {status.phrase for status in http.HTTPStatus}
INTERNALS = re.compile(
    r"Traceback|File \"/|\b[A-Z]\w*(?:Error|Exception|Warning)\b|<[\w.]+ object at |\bNoneType\b"
    r"|list index|object is not|object has no|unexpected keyword|positional argument|site-packages"
)
MAX_SENTENCE = 300  # characters


def find_violations(reply: Reply, secret: str) -> dict[str, str]:
    """The violated rules, each with the offending text; empty for a valid reply."""
    found = {}
    if reply.kind == "lost":
        found["no answer"] = reply.text
    if reply.status >= 500 and reply.kind != "full":
        found[f"status {reply.status}"] = reply.text
    if secret in reply.text:
        found["the canary's secret"] = reply.text
    if reply.kind not in ("complete", "lost"):
        text = sentence(reply)
        if text is None:
            found["an error without a sentence"] = reply.text
        elif INTERNALS.search(text):
            found["internals in an error"] = text
        elif not is_readable(text):
            found["not one short sentence"] = text
    elif "Traceback" in reply.text or 'File "/' in reply.text:
        found["a stack trace"] = reply.text
    return found


def sentence(reply: Reply) -> str | None:
    """What an error says to a person, wherever Gradio or FastAPI put it."""
    text = reply.value()
    if isinstance(text, dict):
        text = text.get("error") or text.get("detail")
    elif text is None:
        text = reply.text
    return text if isinstance(text, str) else None


def is_readable(text: str) -> bool:
    """One line that ends as a sentence does and is not too long, or the name of an HTTP status."""
    if text in STATUS_PHRASES:
        return True
    begins = text[:1].isupper() or text[:1] in "`'\""
    plain = text.isprintable() and len(text) <= MAX_SENTENCE
    return begins and plain and text.rstrip("'\"`)").endswith((".", "!", "?"))
