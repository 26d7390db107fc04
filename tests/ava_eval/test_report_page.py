"""The page of an evaluation in a browser: it works, and nobody is kept out."""

from __future__ import annotations

from pathlib import Path

import pytest

from ava_eval.cli import main
from tests.ava_eval.report_world import NAMES, make_files
from tests.browser import faults, opened


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    make_files(folder)
    files = {"-g": "gt.csv", "-d": "det.csv", "-l": "labels.pbtxt", "--beside": "worse.csv"}
    words = [word for flag, name in files.items() for word in (flag, str(folder / name))]
    words += ["--videos", str(folder / "videos"), "--start", "900"]
    assert main(["report", *words, "-o", str(folder / "report.html"), "--resamples", "50"]) == 0
    return folder / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_anybody_can_read_it(page_file: Path, width: int, scheme: str) -> None:
    with opened(page_file, width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.locator(".opens").first.click()
        assert faults(page) == []
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def names(page) -> list[str]:
    rows = page.locator("#class-table > tbody:visible")
    return rows.evaluate_all("rows => rows.map((row) => row.dataset.name)")


def test_the_table_sorts_and_filters(page_file: Path) -> None:
    with opened(page_file) as page:
        head = page.locator("th[data-sort=ap]")
        assert head.get_attribute("aria-sort") == "ascending"  # what needs most work comes first
        first = names(page)
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        aps = page.locator("#class-table > tbody").evaluate_all(
            "rows => rows.map((row) => parseFloat(row.dataset.ap))"
        )
        assert aps[:-1] == sorted(aps[:-1], reverse=True)
        assert aps[-1] != aps[-1]  # the class nobody does comes last, whatever the order
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        assert names(page) == first
        assert first[-1] == NAMES[-1]
        page.locator("th[data-sort=name]").get_by_role("button").click()
        assert names(page) == sorted(NAMES)
        page.get_by_label("Class", exact=True).first.fill("TALK")
        assert names(page) == ["talk to (e.g., self)"]
        assert page.locator("#filter-count").inner_text() == "1 of 7 classes"
        page.get_by_label("Class", exact=True).first.fill("")
        page.locator("#filter-group").select_option("object manipulation")
        assert set(names(page)) == {"answer phone", "touch | hold"}


def test_a_class_opens_by_keyboard(page_file: Path) -> None:
    with opened(page_file) as page:
        button = page.get_by_role("button", name="walk", exact=True)
        chart = page.get_by_role("img", name="Precision over recall of walk")
        assert not chart.is_visible()
        button.focus()
        page.keyboard.press("Enter")
        assert chart.is_visible()
        assert button.get_attribute("aria-expanded") == "true"
        assert chart.locator("path.line").count() == 2  # this run and the other
        page.keyboard.press("Space")
        assert not chart.is_visible()


def test_pictures_load_and_filter(page_file: Path) -> None:
    with opened(page_file) as page:
        loaded = page.locator(".card img").evaluate_all(
            "images => images.map((image) => image.complete && image.naturalWidth > 0)"
        )
        assert len(loaded) > 15
        assert all(loaded)
        cards = page.locator(".card:visible")
        assert cards.count() == 12
        page.locator("#card-more").click()
        assert cards.count() > 12
        assert page.evaluate("document.activeElement.classList.contains('card')")
        page.locator("#card-cause").select_option("localisation")
        assert cards.count() > 0
        assert {card.get_attribute("data-cause") for card in cards.all()} == {"localisation"}
        page.locator(".opens", has_text="touch | hold").click()
        page.locator("tr.more:visible .show-errors").click()
        assert cards.count() > 0
        for card in cards.all():
            assert "touch | hold" in card.locator("figcaption").inner_text()


def test_it_reads_without_its_script(page_file: Path, tmp_path: Path) -> None:
    html = page_file.read_text()
    start, end = html.index("<script>"), html.index("</script>")
    (tmp_path / "plain.html").write_text(html[:start] + html[end + len("</script>") :])
    with opened(tmp_path / "plain.html") as page:
        assert page.locator("tr.more").first.is_visible()
        assert page.locator(".card").last.is_visible()
