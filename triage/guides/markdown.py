"""Markdown of guides: to a tree that keeps every word, and to safe HTML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

# Blocks alone: what stands inside of them is kept as it was written, definitions of links too.
_PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")
_PARSER.disable(["inline", "text_join", "reference"])
# Deeper than the parser, so that it shows whatever that one read.
_RENDERER = MarkdownIt("commonmark", {"html": False, "maxNesting": 40}).enable("table")
_RENDERER.disable(["image", "html_block"])
_LISTS = ("bullet_list", "ordered_list")
_LINE_END = re.compile(r"\r\n?|\n")
_MARKERS = re.compile(r"(?:(?:[-+*]|\d{1,9}[.)])(?:\s+|$))+")
_LINK = re.compile(r"https?://", re.IGNORECASE)


def _is_web_link(url: str) -> bool:
    return _LINK.match(url.strip()) is not None


_RENDERER.validateLink = _is_web_link  # type: ignore[method-assign]


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, list item, or other block. text: its own Markdown, on one line for items and paragraphs.

    level: of a heading, else 0. line: in the note, from 1. children: blocks below a list item.
    """

    kind: str
    text: str
    line: int
    level: int = 0
    children: tuple["Block", ...] = field(default=())

    @property
    def is_item(self) -> bool:
        return self.kind == "item"

    def walk(self) -> Iterator["Block"]:
        """This block and all below it, in reading order."""
        yield self
        for child in self.children:
            yield from child.walk()


def blocks(note: str) -> list[Block]:
    """The blocks of a note in order. Lists dissolve into their items; every other block keeps its source."""
    # As the parser counts them. Not splitlines: U+2028 and others end no line there.
    lines = _LINE_END.split(note)
    return [block for node in SyntaxTreeNode(_PARSER.parse(note)).children for block in _blocks(node, lines)]


def _blocks(node: SyntaxTreeNode, lines: list[str]) -> Iterator[Block]:
    start, end = node.map or (0, 0)
    if node.type in _LISTS:
        for item in node.children:
            yield _item(item, lines)
    elif node.type == "heading":
        yield Block("heading", _inline(node), start + 1, level=int(node.tag[1:]))
    elif node.type == "paragraph":
        yield Block("paragraph", _inline(node), start + 1)
    else:
        yield Block(node.type, _dedented(lines[start:end]), start + 1)


def _item(node: SyntaxTreeNode, lines: list[str]) -> Block:
    start, end = node.map or (0, 0)
    line = start + 1
    if not node.children:
        # An empty item, or one nested deeper than the parser goes.
        text = " ".join(part.strip() for part in lines[start:end])
        return Block("item", _MARKERS.sub("", text.strip(), count=1), line)
    below = [block for child in node.children for block in _blocks(child, lines)]
    if below and below[0].kind == "paragraph":
        return Block("item", below[0].text, line, children=tuple(below[1:]))
    return Block("item", "", line, children=tuple(below))


def _inline(node: SyntaxTreeNode) -> str:
    return " ".join(child.content.replace("\n", " ") for child in node.children).strip()


def _dedented(lines: list[str]) -> str:
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[margin:] for line in lines).strip("\n")


def source(block: Block, depth: int = 0) -> str:
    """The block as Markdown again; items become bullets, indented by depth."""
    margin = "  " * depth
    if not block.is_item:
        text = f"{'#' * block.level} {block.text}" if block.kind == "heading" else block.text
        return "\n".join(f"{margin}{line}" for line in text.splitlines())
    parts = [f"{margin}- {block.text}"] if block.text else []
    parts += [f"\n{source(child, depth + 1)}" if not child.is_item else source(child, depth + 1)
              for child in block.children]  # fmt: skip
    return "\n".join(parts)


def sources(found: list[Block] | tuple[Block, ...]) -> str:
    """Blocks as Markdown; a blank line between what is no list item."""
    text = ""
    for number, block in enumerate(found):
        joint = "\n" if block.is_item and number and found[number - 1].is_item else "\n\n"
        text += (joint if number else "") + source(block)
    return text


@lru_cache(maxsize=2048)
def render(text: str) -> SafeString:
    """Guide Markdown as HTML: no raw HTML, no images, links to http(s) only. Never for event data.

    The renderer escapes all text; what is marked safe is only the markup that it wrote itself.
    """
    return SafeString(_RENDERER.render(text))
