"""The page says what the result says, shows hostile texts as texts, and needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from simulations.report.page import make_plots, page
from simulations.report.view import views_of
from simulations.study.result import EVERYWHERE, StudyResult
from tests.unit.report.results import names, study

VOID = {"meta", "br", "img", "link", "input"}


class Reader(HTMLParser):
    """What a browser would see: elements, attributes, texts, and the numbers that `data` elements hold."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.values: list[tuple[float, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self._value: str | None = None
        self.feed(html)
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._value = dict(attrs).get("value") if tag == "data" else None
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._value is not None:
            self.values.append((float(self._value), data))
            self._value = None
        elif not set(self._open) & {"style", "svg", "pre", "code", "footer", "title"}:
            self.texts.append(data)


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from numbers(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def derived(result: StudyResult) -> set[float]:
    """What the page may say beside the result's own numbers: counts, shares of them, differences."""
    repetitions = result.repetitions
    found: set[float] = set(range(max(len(repetitions), len(repetitions[0].nodes)) + 1))
    found |= {len(r.rounds) for r in repetitions}
    tried = [a for r in repetitions for a in r.attacks]
    found |= {len(tried), *Counter((a.name, a.succeeded, a.text) for a in tried).values()}
    found |= {sum(a.succeeded for a in tried), sum(len(r.failures) for r in repetitions)}
    found |= {sum(n.drop_outs for r in repetitions for n in r.nodes)}
    found |= {sum(a.attempts > 1 for r in repetitions for a in r.rounds)}
    shown = repetitions[0]
    found |= {len(shown.messages), sum(m.size for m in shown.messages), sum(m.lost for m in shown.messages)}
    for c in result.comparisons:
        if c.minus_pooled is not None:
            found |= {-v for v in (c.minus_pooled.mean, c.minus_pooled.low, c.minus_pooled.high) if v is not None}
    gaps = []
    for r in repetitions:
        scores = {(s.arm, s.hospital, s.tested_on): s.value for s in r.scores if s.metric == result.metric}
        at = [EVERYWHERE, *(n.name for n in r.nodes)]
        gaps += [abs((scores["federated", "", t] or 0) - (scores["pooled", "", t] or 0)) for t in at]
    found.add(max(gaps))
    by_term: dict[str, list[tuple[float, float]]] = {}
    for r in repetitions:
        values = {(e.arm, e.term): e.value or 0.0 for e in r.estimates if e.arm != "alone"}
        for arm, term in values:
            if arm == "pooled":
                by_term.setdefault(term, []).append((values["federated", term], values["pooled", term]))
    for pairs in by_term.values():
        found |= {statistics.fmean(a for a, _ in pairs), statistics.fmean(b for _, b in pairs)}
        found |= {abs(a - b) for a, b in pairs} | {a - b for a, b in pairs}
    return found


def rendered(result: StudyResult) -> str:
    views = views_of((result,))
    return page(views, make_plots(views))


def test_every_number_of_the_page_is_one_of_the_result(result: StudyResult, page: str) -> None:
    allowed = set(numbers(msgspec.to_builtins(result))) | derived(result)
    seen = Reader(page).values
    assert len(seen) > 300
    assert [shown for shown in seen if shown[0] not in allowed] == []


def test_every_printed_number_is_its_value_rounded(page: str) -> None:
    units = {
        "B": 1,
        "kB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
        "s": 1,
        "ms": 1e-3,
        "min": 60,
        "h": 3600,
        "days": 86400,
        "%": 0.01,
    }
    for value, text in Reader(page).values:
        figure, _, unit = text.replace("\N{MINUS SIGN}", "-").replace(",", "").partition(" ")
        if float(figure) * 1e6 == value:  # the line's bandwidth, in Mbit/s
            continue
        printed = float(figure) * units.get(unit, 1)
        assert math.isclose(printed, value, rel_tol=0.06, abs_tol=0.00051), (value, text)


def test_no_number_stands_outside_a_data_element_unless_a_text_of_the_result_has_it(
    result: StudyResult, page: str
) -> None:
    texts = " ".join([result.split, result.name, *(m.text for r in result.repetitions for m in r.moments)])
    known = set(re.findall(r"\d+", texts)) | {"95", str(result.repetitions[0].seed), "1", "2"}
    assert set(re.findall(r"\d+", " ".join(Reader(page).texts))) <= known


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    for tag, attributes in Reader(page).tags:
        assert tag not in (
            "script",
            "link",
            "iframe",
            "object",
            "embed",
            "img",
            "image",
            "base",
            "form",
            "foreignobject",
        )
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "style", "action", "xlink:href")
            if name == "href":
                assert value is not None
                assert re.fullmatch(r"#[\w-]+|(plots|frames)/[\w.-]+|scenario\.toml", value), value
    sheet = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in sheet
    assert "url(" not in sheet.replace("url(#", "")
    assert "://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_policy_allows_the_one_style_sheet_and_nothing_else(page: str) -> None:
    sheet = page[page.index("<style>") + 7 : page.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    metas = [attributes for tag, attributes in Reader(page).tags if tag == "meta"]
    policy = next(m["content"] for m in metas if m.get("http-equiv") == "Content-Security-Policy")
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_every_id_that_is_pointed_at_exists_once(page: str) -> None:
    tags = Reader(page).tags
    ids = Counter(attributes["id"] for _, attributes in tags if "id" in attributes)
    assert set(ids.values()) == {1}
    wanted = set(re.findall(r'(?:href="|url\()#([^")]+)', page))
    assert wanted <= set(ids)


def test_every_drawing_has_a_text_for_those_who_do_not_see_it(page: str) -> None:
    drawings = [attributes for tag, attributes in Reader(page).tags if tag == "svg"]
    assert len(drawings) == 2 * page.count("<figure>")
    assert all(d["role"] == "img" and len(d["aria-label"] or "") > 20 for d in drawings)


def test_hostile_texts_are_shown_as_texts() -> None:
    evil = "<script>alert(1)</script>\"'&$x_{1}$\x00\x1b[31m\u202e</style></svg>"
    hubs = [evil, "]]><!--", "a" * 300]
    hostile = study(hubs, repetitions=2, rounds=2, name=evil, title=evil, scenario=evil, split=evil, executor=evil)
    html = rendered(msgspec.structs.replace(hostile, version=evil, metric=hostile.metric))
    tags = {tag for tag, _ in Reader(html).tags}
    assert "script" not in tags
    assert html.count("</style>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    for character in "\x00\x1b\u202e":
        assert character not in html


@pytest.mark.parametrize(
    ("hubs", "repetitions", "rounds"),
    [(1, 1, 1), (2, 1, 4), (64, 2, 2), (3, 2, 0)],
    ids=["one", "single", "64", "empty"],
)
def test_any_size_gives_a_page(hubs: int, repetitions: int, rounds: int) -> None:
    html = rendered(study(names(hubs), repetitions=repetitions, rounds=rounds))
    seen = Reader(html)
    text = " ".join(seen.texts)
    for name in names(hubs):
        assert name in text
    assert ("Learning curve" in text) is (rounds > 1)  # the first round has no model in these results
    assert ("How long it takes" in text) is (repetitions > 1)
    assert "nan" not in text.lower().split()


def test_values_that_are_missing_are_said_to_be(result: StudyResult) -> None:
    nothing = StudyResult(
        name="n", title="", scenario="", version="0", task="summary", metric="", higher_is_better=True,
        target=0.5, confidence=0.9, network=msgspec.structs.replace(result.network, bandwidth_bit_s=None), split="",
        executor="here", wall_s=0.0, repetitions=(),
    )  # fmt: skip
    text = " ".join(Reader(rendered(nothing)).texts)
    assert "No repetition was run" in text
    assert text.count("The result has nothing to draw here.") == 3
    gone = [msgspec.structs.replace(c.value, mean=None, low=None, high=None, n=0) for c in result.comparisons]
    holes = msgspec.structs.replace(
        result,
        comparisons=tuple(
            msgspec.structs.replace(c, value=g, minus_pooled=None)
            for c, g in zip(result.comparisons, gone, strict=True)
        ),
    )
    text = " ".join(Reader(rendered(holes)).texts)
    assert "not defined" in text
    assert "Alone, federated, pooled" not in text


def test_a_job_that_ended_badly_is_told_first(result: StudyResult) -> None:
    first = msgspec.structs.replace(result.repetitions[0], outcome="failed", reason="a worker raised an error")
    failed = msgspec.structs.replace(result, repetitions=(first, *result.repetitions[1:]))
    html = rendered(failed)
    found = html[html.index('<ul class="found">') :]
    text = re.sub(r"<[^>]+>", "", found)
    assert text.strip().startswith("2 of 3 repetitions ended with a result.")
    assert "1 repetition ended as failed: a worker raised an error." in text
