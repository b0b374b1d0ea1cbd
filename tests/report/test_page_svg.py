"""Figures in the page: no stray style, no colliding id, no colour of their own."""

import re

from longtail.report.pictures.svg import COLORS, drawing, new_figure, to_svg


def drawn(name: str, title: str = "Rare classes fare worse") -> str:
    with drawing():
        figure = new_figure()
        axes = figure.add_subplot()
        axes.plot([1, 2, 3], [0.2, 0.5, 0.4], color=COLORS["many"], marker="o")
        axes.set_title("a$_$ <img onerror> & \u202e")
        return str(to_svg(figure, name, title, "Numbers in the table"))


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert drawn("size") == drawn("size")


def test_ids_have_the_prefix_and_every_reference_its_target() -> None:
    svg = drawn("size")
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert ids
    assert all(name.startswith("size-") for name in ids)
    assert len(set(ids)) == len(ids)
    targets = set(re.findall(r'(?:href="#|url\(#)([\w-]+)', svg))
    assert targets
    assert targets <= set(ids)
    assert not set(ids) & set(re.findall(r'\bid="([^"]+)"', drawn("other")))


def test_no_prolog_metadata_style_sheet_or_font_is_left() -> None:
    svg = drawn("size")
    assert svg.startswith("<svg viewBox=")
    for word in ("<?xml", "<!DOCTYPE", "metadata", "<style", "font-family", "<!--", "xlink", "ns0"):
        assert word not in svg


def test_colours_are_the_pages() -> None:
    svg = drawn("size")
    assert "stroke:var(--many)" in svg
    assert not re.search(r"#[0-9a-f]{6}", svg.replace("#size", ""))


def test_text_is_text_and_escaped() -> None:
    svg = drawn("size", title="5 < 6 & <b>")
    assert ">a$_$ &lt;img onerror&gt; &amp;" in svg
    assert '<title id="size-title">5 &lt; 6 &amp; &lt;b&gt;</title>' in svg
    assert 'role="img"' in svg
