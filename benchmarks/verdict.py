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


def complaints(reply: Reply, secret: str) -> list[str]:
    """What is wrong with a reply; nothing, if it is an answer or a refusal in one sentence."""
    found = []
    if reply.kind == "lost":
        found.append(f"no answer: {reply.text}")
    if reply.status >= 500 and reply.kind != "full":
        found.append(f"status {reply.status}")
    if secret in reply.text:
        found.append("the canary's secret")
    if reply.kind not in ("complete", "lost"):
        said = sentence(reply)
        if said is None:
            found.append(f"no sentence: {reply.text[:200]}")
        elif INNARDS.search(said):
            found.append(f"innards: {said[:200]}")
        elif not readable(said):
            found.append(f"not one short sentence: {said[:200]!r}")
    elif "Traceback" in reply.text or 'File "/' in reply.text:
        found.append("a stack trace")
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
