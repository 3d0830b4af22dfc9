"""Small pieces of HTML, everything escaped."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Markup:
    """Text that is HTML already."""

    text: str


Cell = str | Markup


def text(value: Cell) -> str:
    """Return HTML for a cell; plain strings are escaped."""
    return value.text if isinstance(value, Markup) else escape(value)


def tag(name: str, content: Cell, **attributes: str) -> Markup:
    """Return one element; ``class_`` becomes ``class``."""
    shown = "".join(f' {key.rstrip("_")}="{escape(value, quote=True)}"' for key, value in attributes.items() if value)
    return Markup(f"<{name}{shown}>{text(content)}</{name}>")


def join(parts: Iterable[Cell], between: str = "") -> Markup:
    """Concatenate."""
    return Markup(between.join(text(part) for part in parts))


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]], numeric: Sequence[int] = ()) -> Markup:
    """Return a table; columns in `numeric` are right-aligned."""

    def row(cells: Sequence[Cell], kind: str) -> Markup:
        return tag("tr", join(tag(kind, c, class_="n" if i in numeric else "") for i, c in enumerate(cells)))

    body = join(row(cells, "td") for cells in rows)
    inner = tag("thead", row(header, "th")).text + tag("tbody", body).text
    return tag("div", tag("table", Markup(inner)), class_="scroll")


def pairs(rows: Iterable[tuple[str, Cell]]) -> Markup:
    """Return a definition list of names and values."""
    return tag("dl", join(join([tag("dt", name), tag("dd", value)]) for name, value in rows))


def figure(png: Path, caption: Cell, alternative: str) -> Markup:
    """Return a figure with its picture inside the page."""
    data = base64.b64encode(png.read_bytes()).decode("ascii")
    picture = Markup(f'<img alt="{escape(alternative, quote=True)}" src="data:image/png;base64,{data}">')
    return tag("figure", join([tag("div", picture, class_="plate"), tag("figcaption", caption)]))


def section(title: str, *content: Cell) -> Markup:
    """Return a section with its heading."""
    return tag("section", join([tag("h2", title), *content], "\n"))


def page(title: str, body: Cell, data: Mapping[str, Any]) -> str:
    """Return a whole page that needs nothing else: style inside, and the numbers once more as JSON."""
    style = files("nvscope.analysis").joinpath("report.css").read_text(encoding="utf-8")
    numbers = json.dumps(data, allow_nan=False).replace("</", "<\\/")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{text(body)}\n</main>\n"
        f'<script type="application/json" id="numbers">{numbers}</script>\n</body>\n</html>\n'
    )
