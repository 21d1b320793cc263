"""Whether a reply is one that a visitor may get."""

import http
import re

from benchmarks.visitor import Reply

PHRASES = {status.phrase for status in http.HTTPStatus}
INNARDS = re.compile(
    r"Traceback|File \"/|\b[A-Z]\w*(?:Error|Exception|Warning)\b|<[\w.]+ object at |\bNoneType\b"
    r"|list index|object is not|object has no|unexpected keyword|positional argument|site-packages"
)
LONGEST = 300  # characters that somebody reads


def find_violations(reply: Reply, secret: str) -> dict[str, str]:
    """What is wrong with a reply, and its words; nothing with an answer or a short sentence."""
    found = {}
    if reply.kind == "lost":
        found["no answer"] = reply.text
    if reply.status >= 500 and reply.kind != "full":
        found[f"status {reply.status}"] = reply.text
    if secret in reply.text:
        found["the canary's secret"] = reply.text
    if reply.kind not in ("complete", "lost"):
        said = sentence(reply)
        if said is None:
            found["an error without a sentence"] = reply.text
        elif INNARDS.search(said):
            found["innards in an error"] = said
        elif not readable(said):
            found["not one short sentence"] = said
    elif "Traceback" in reply.text or 'File "/' in reply.text:
        found["a stack trace"] = reply.text
    return found


def sentence(reply: Reply) -> str | None:
    """What an error says to a person, wherever Gradio or FastAPI put it."""
    said = reply.value()
    if isinstance(said, dict):
        said = said.get("error") or said.get("detail")
    elif said is None:
        said = reply.text
    return said if isinstance(said, str) else None


def readable(said: str) -> bool:
    """One line that ends as a sentence does and is not too long, or the name of an HTTP status."""
    if said in PHRASES:
        return True
    begins = said[:1].isupper() or said[:1] in "`'\""
    plain = said.isprintable() and len(said) <= LONGEST
    return begins and plain and said.rstrip("'\"`)").endswith((".", "!", "?"))
