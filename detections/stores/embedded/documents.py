"""Documents as the text that the store keeps, and back."""

import json
import re

import orjson

from detections import ecs

# The character zero, and surrogates that may lack their other half, in JSON text.
_UNSTORABLE = re.compile(r"\\u(?:0000|d[89a-f])", re.IGNORECASE)


def raw(document: ecs.Document) -> str:
    """The document as JSON. Integers past 64 bits and lone surrogates survive too."""
    try:
        return orjson.dumps(document).decode()
    except TypeError:
        return json.dumps(document, default=str)


def parsed(text: str) -> ecs.Document:
    """The inverse of `raw`, but for what no database takes: see `ecs.storable`.

    Not orjson: it turns integers past 64 bits into floats.
    """
    document: ecs.Document = json.loads(text)
    if "\\u" in text and _UNSTORABLE.search(text):
        document = ecs.storable(document)
    return document
