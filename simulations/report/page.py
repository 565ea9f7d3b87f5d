"""The page: one HTML file without scripts, and with nothing from elsewhere.

All texts are escaped here and nowhere else. Each number stands in a `data` element that holds its full value.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from importlib.metadata import version
from typing import Final

from simulations.report import findings
from simulations.report.look import NARROW_IN, WIDE_IN, drawing
from simulations.report.plots import SECTIONS
from simulations.report.plots.plot import Plot, share_axes
from simulations.report.style import css
from simulations.report.svg import Styles, inline
from simulations.report.tables import ROWS_MAX, Table, tables_of
from simulations.report.view import View
from simulations.report.words import NONE, NOTHING, Code, Part, Sentence, Shown, clean, count, number, plain, size, span
from simulations.study.result import EVERYWHERE

HIGH: Final = 16
"""Rows above which a table scrolls by itself."""
LIBRARIES: Final = ("numpy", "pandas", "pyarrow", "matplotlib")
"""Whose versions the report names."""


def html(parts: Part | Sequence[Part]) -> str:
    """A sentence or a cell, escaped."""
    if not isinstance(parts, str | Shown | Code):
        return "".join(html(part) for part in parts)
    match parts:
        case Shown(value, text):
            return f'<data value="{value!r}">{escape(text)}</data>'
        case Code(text):
            return f"<code>{escape(text)}</code>"
    return escape(parts)


def page(views: Sequence[View], plots: Sequence[tuple[Plot | None, ...]], differences: Iterable[Table] = ()) -> str:
    """The whole document. plots: for each plot of `SECTIONS`, in their order, that of each view."""
    styles = Styles()
    body = _several(views, plots, differences, styles) if len(views) > 1 else _one(views[0], plots, styles)
    sheet = css(styles.css())
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = escape(" and ".join(clean(view.result.title or view.result.name, 120) for view in views))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}: simulation report</title>\n<style>{sheet}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def make_plots(views: Sequence[View]) -> list[tuple[Plot | None, ...]]:
    """What `page` wants."""
    return [tuple(drawer(view) for view in views) for _, drawers in SECTIONS for drawer in drawers]


def _one(view: View, plots: Sequence[tuple[Plot | None, ...]], styles: Styles) -> str:
    result = view.result
    return (
        f'<main>\n<header>\n<p class="eyebrow">Simulation study{_name(result.name)}</p>\n'
        f"<h1>{escape(clean(result.title or result.name))}</h1>\n"
        f'<div class="asked">{_paragraphs(findings.asked(view))}</div>\n{_nav()}</header>\n'
        f'<h2 id="found">What was found</h2>\n{_tiles(view)}{_list(findings.found(view), "found")}'
        f"{_chapters((view,), plots, styles)}"
        f'<h2 id="limits">What a simulation cannot tell</h2>\n{_list(findings.limits(view), "limits")}'
        f'<h2 id="tables">Tables</h2>\n{_tables(tables_of(view))}{_appendix((view,))}</main>\n'
    )


def _several(
    views: Sequence[View], plots: Sequence[tuple[Plot | None, ...]], differences: Iterable[Table], styles: Styles
) -> str:
    found = "".join(
        f"<div>\n<h3>{escape(view.title)}</h3>\n{_list(findings.found(view), 'found')}</div>\n" for view in views
    )
    cannot = "".join(
        f"<div>\n<h3>{escape(view.title)}</h3>\n{_list(findings.limits(view), 'limits')}</div>\n" for view in views
    )
    tables = "".join(
        f"<h3>{escape(view.title)}</h3>\n{_tables(tables_of(view), f'{view.letter.lower()}-', 'h4')}" for view in views
    )
    return (
        '<main class="several">\n<header>\n<p class="eyebrow">Simulation studies compared</p>\n'
        f"<h1>{escape(' and '.join(clean(view.result.title or view.result.name) for view in views))}</h1>\n"
        f'{_nav()}</header>\n<h2 id="found">What was found</h2>\n<div class="side">{found}</div>\n'
        f'{_tables(differences)}{_chapters(views, plots, styles)}<h2 id="limits">What a simulation cannot tell</h2>\n'
        f'<div class="side">{cannot}</div>\n<h2 id="tables">Tables</h2>\n{tables}{_appendix(views)}</main>\n'
    )


def _name(name: str) -> str:
    return f" · {escape(clean(name, 80))}" if name else ""


def _nav() -> str:
    links = [("found", "Found"), *((_slug(title), title) for title, _ in SECTIONS)]
    links += [("limits", "Limits"), ("tables", "Tables"), ("scenario", "Scenario"), ("replay", "Replay")]
    return "<nav>" + "".join(f'<a href="#{slug}">{title}</a>' for slug, title in links) + "</nav>\n"


def _slug(title: str) -> str:
    return title.lower().replace(" ", "-")


def _paragraphs(sentences: Sequence[Sentence]) -> str:
    return f"<p>{' '.join(html(sentence) for sentence in sentences)}</p>\n" if sentences else ""


def _list(sentences: Sequence[Sentence], kind: str) -> str:
    return f'<ul class="{kind}">\n' + "".join(f"<li>{html(s)}</li>\n" for s in sentences) + "</ul>\n"


def _tiles(view: View) -> str:
    """The handful of numbers that people look for first."""
    ours, pooled = view.comparison("federated", "", EVERYWHERE), view.comparison("pooled", "", EVERYWHERE)
    rounds, time = view.total("rounds"), view.total("virtual_s")
    sent = [v.mean for name in view.hospitals if (v := view.total("sent_bytes", name)) and v.mean is not None]
    tiles: list[tuple[str, Part | None]] = [
        (f"{view.metric}, federated", number(ours.value.mean) if ours and ours.value.mean is not None else None),
        (f"{view.metric}, pooled", number(pooled.value.mean) if pooled and pooled.value.mean is not None else None),
        ("rounds", count(rounds.mean) if rounds and rounds.mean is not None else None),
        ("virtual time", span(time.mean) if time and time.mean is not None else None),
        ("sent by a hospital", size(max(sent)) if sent else None),
    ]
    shown = [f"<div><dt>{escape(name)}</dt><dd>{html(value)}</dd></div>" for name, value in tiles if value is not None]
    return f'<dl class="tiles">{"".join(shown)}</dl>\n' if shown else ""


def _chapters(views: Sequence[View], plots: Sequence[tuple[Plot | None, ...]], styles: Styles) -> str:
    rest, written = list(plots), []
    for title, drawers in SECTIONS:
        here, rest = rest[: len(drawers)], rest[len(drawers) :]
        figures = "".join(_figure(row, views, styles) for row in here if any(row))
        nothing = "<p>The result has nothing to draw here.</p>\n"
        written.append(f'<h2 id="{_slug(title)}">{title}</h2>\n{figures or nothing}')
    return "".join(written)


def _figure(row: tuple[Plot | None, ...], views: Sequence[View], styles: Styles) -> str:
    first = next(plot for plot in row if plot is not None)
    head = f"<h3>{escape(first.title)}</h3>\n"
    if len(row) == 1:
        drawn = _svgs(row, WIDE_IN, "wide", styles)[0] + _svgs(row, NARROW_IN, "narrow", styles)[0]
        return f"{head}<figure>\n{drawn}\n{_caption(first, first.name)}</figure>\n"
    drawn_all, cells = _svgs(row, NARROW_IN, "narrow", styles), []
    for plot, view, svg in zip(row, views, drawn_all, strict=True):
        name = f"<h4>{escape(clean(view.title, 80))}</h4>"
        body = f"{svg}\n{_caption(plot, plot.name + view.suffix)}" if plot else f'<p class="none">{NONE}</p>'
        cells.append(f"<figure>{name}\n{body}</figure>\n")
    return f'{head}<div class="side">\n{"".join(cells)}</div>\n'


def _svgs(row: tuple[Plot | None, ...], width_in: float, kind: str, styles: Styles) -> list[str]:
    """The plots of a row at a width, with the same axes."""
    figures = []
    for place, plot in enumerate(row):
        if plot is not None:
            with drawing(f"{plot.name}/{kind}/{place}"):
                figures.append(plot.draw(width_in))
    shared = next((plot.shared for plot in row if plot is not None), "")
    if len(figures) > 1 and shared:
        share_axes(figures, shared)
    written, rest = [], list(figures)
    for place, plot in enumerate(row):
        if plot is None:
            written.append("")
            continue
        with drawing(f"{plot.name}/{kind}/{place}"):
            svg = inline(rest.pop(0), f"{plot.title}. {plain(plot.alternative)}", styles)
        written.append(svg.replace("<svg", f'<svg class="{kind}"', 1))
    return written


def _caption(plot: Plot, file: str) -> str:
    links = " ".join(f'<a href="plots/{file}.{ending}">{ending.upper()}</a>' for ending in ("svg", "png"))
    return f'<figcaption>{html(plot.caption)} <span class="files">{links}</span></figcaption>\n'


def _tables(tables: Iterable[Table], prefix: str = "", head: str = "h3") -> str:
    return "".join(_table(table, prefix, head) for table in tables)


def _table(table: Table, prefix: str, head: str) -> str:
    heads = "".join(f"<th scope=col{_kind(table, i)}>{escape(name)}</th>" for i, name in enumerate(table.heads))
    rows = "".join(f"<tr>{_cells(table, row)}</tr>\n" for row in table.shown)
    high = " high" if len(table.shown) > HIGH else ""
    left = len(table.rows) - len(table.shown)
    more = f" The first {ROWS_MAX} of {len(table.rows)} rows; the files have all." if left else ""
    file = prefix + (table.file or table.name)
    links = " ".join(f'<a href="frames/{file}.{ending}">{name}</a>' for ending, name in _ENDINGS)
    return (
        f'<{head}>{escape(table.title)}</{head}>\n<p class="note">{escape(table.note + more)} {links}</p>\n'
        f'<div class="scroll{high}" tabindex=0 role=region aria-label="{escape(table.title)}"><table>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )


_ENDINGS: Final = (("csv", "CSV"), ("parquet", "Parquet"))


def _kind(table: Table, column: int) -> str:
    return " class=right" if column in table.right else ""


def _cells(table: Table, row: Sequence[Part]) -> str:
    written = []
    for column, part in enumerate(row):
        kind = "right" if column in table.right else "text" if len(str(part)) > 40 else ""
        kind = f"{kind} none".strip() if part in (NONE, NOTHING) else kind
        tag, scope = ("th", " scope=row") if column == 0 else ("td", "")
        named = f' class="{kind}"' if kind else ""
        written.append(f"<{tag}{scope}{named}>{html(part)}</{tag}>")
    return "".join(written)


def _appendix(views: Sequence[View]) -> str:
    files = [view.scenario_file for view in views]
    scenarios = "".join(
        f'<p class="note"><a href="{file}">{file}</a></p>\n<pre>{escape(_lines(view.result.scenario))}</pre>\n'
        for file, view in zip(files, views, strict=True)
    )
    again = "".join(f"<p>{html(findings.replay(view))}</p>\n" for view in views)
    written = ", ".join(f"{library} {version(library)}" for library in LIBRARIES)
    ran = "".join(
        f"<p>{escape(clean(view.result.name))}: secured-node {escape(clean(view.result.version))}, local computation: "
        f"{escape(clean(view.result.executor))}, {html(span(view.result.wall_s))} of real time.</p>\n"
        for view in views
    )
    return (
        f'<h2 id="scenario">Scenario</h2>\n{scenarios}<h2 id="replay">Replay</h2>\n{again}<footer>\n{ran}'
        f"<p>This page was written with {escape(written)}. The same result makes the same page, byte for byte.</p>\n"
        "</footer>\n"
    )


def _lines(text: str) -> str:
    """A text of several lines, without what cannot be printed."""
    return "\n".join(clean(line) for line in text.replace("\t", "    ").splitlines())
