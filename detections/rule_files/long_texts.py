"""Read TOML whose bulk is prose, fast: `tomllib` goes through long texts character by character.

Long multi-line strings are taken out before it parses, and put back into the values after. What can't be
taken out without judging it stays in, so that `tomllib` alone decides what is TOML and what a fault is.
"""

import re
import tomllib
from typing import Any

# Outside of these, valid TOML has no quote and no hash; so the first one found starts one of them.
_TOKEN = re.compile(
    r"""\#[^\n]*
    | \"\"\"(?P<basic>[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*+)\"\"\"(?!")
    | '''(?P<literal>[^']*+(?:'(?!'')[^']*+)*+)'''(?!')
    | "(?:[^"\\\n]|\\.)*+"
    | '[^'\n]*+'""",
    re.VERBOSE | re.DOTALL,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_LONG = 200
_MARK = "\ue000long text "


def loads(text: str) -> dict[str, Any]:
    """As `tomllib.loads`, faults and their positions included."""
    normal = text.replace("\r\n", "\n")
    if _MARK in normal or "\\ue000" in normal.lower():
        return tomllib.loads(text)
    taken: list[str] = []

    def take(found: re.Match[str]) -> str:
        content = _content(found)
        if content is None:
            return found[0]
        taken.append(content)
        # In triple quotes too, which no key may have.
        return f'"""{_MARK}{len(taken) - 1}"""'

    try:
        values = tomllib.loads(_TOKEN.sub(take, normal))
    except tomllib.TOMLDecodeError:
        # Told again from the whole text, for the right line and column; or it is right after all.
        return tomllib.loads(text)
    restored = _restored(values, taken)
    return restored if isinstance(restored, dict) else values


def _content(found: re.Match[str]) -> str | None:
    """What a long string means, None for what `tomllib` should read itself."""
    kind = found.lastgroup
    if kind is None or len(found[0]) < _LONG or _CONTROL.search(found[0]):
        return None
    content = found[kind].removeprefix("\n")
    if kind == "literal" or "\\" not in content:
        return content
    if any(one not in _ESCAPES for one in _ESCAPE.findall(content)):
        return None
    return _ESCAPE.sub(lambda escape: _ESCAPES[escape[1]], content)


def _restored(value: Any, taken: list[str]) -> Any:
    """The values with the long texts in their places."""
    if isinstance(value, str):
        return taken[int(value.removeprefix(_MARK))] if value.startswith(_MARK) else value
    if isinstance(value, dict):
        for key, item in value.items():
            value[key] = _restored(item, taken)
    elif isinstance(value, list):
        value[:] = [_restored(item, taken) for item in value]
    return value
