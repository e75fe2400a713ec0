"""The comparison and the gallery in a real browser: keyboard, widths, colours, printing, and without scripts."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from support.browser import CONTRAST_SCRIPT, set_window, start_browser
from support.gallery_checkout import ARABIC, EXPERIMENTS, HOSTILE, JAPANESE, write_pages

PAGES = ("compare.html", "gallery.html")
# Returns the elements that print would cut off or show with a scroll bar.
SCROLLING_SCRIPT = """
return [...document.querySelectorAll("main *")].filter((element) => element.checkVisibility()
  && getComputedStyle(element).overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1
  && !element.matches(".hidden-text")).map((element) => element.outerHTML.slice(0, 80));
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def gallery(session: Chrome, folder: Path) -> Iterator[Chrome]:
    """Load the gallery; after the test, check that the console has no message, such as one about the policy."""
    set_window(session, 1280, "light")
    session.get((folder / "gallery.html").as_uri())
    yield session
    assert session.get_log("browser") == []


def find_cards(browser: Chrome) -> dict[str, WebElement]:
    """Return the visible cards by the name of the run, in their order."""
    cards = [card for card in browser.find_elements(By.CSS_SELECTOR, ".card") if card.is_displayed()]
    return {card.find_element(By.TAG_NAME, "bdi").text: card for card in cards}


def test_the_gallery_sorts_and_filters_by_keyboard(gallery: Chrome) -> None:
    order = [*find_cards(gallery)]
    assert [order[0], order[2], order[3]] == [ARABIC, HOSTILE, JAPANESE]
    sort = gallery.find_element(By.ID, "sort")
    Select(sort).select_by_visible_text("lr")
    assert [*find_cards(gallery)][:3] == [JAPANESE, ARABIC, HOSTILE]
    gallery.find_element(By.ID, "reverse").send_keys(Keys.ENTER)
    assert [*find_cards(gallery)][1:] == [HOSTILE, ARABIC, JAPANESE]
    gallery.find_element(By.ID, "search").send_keys("学習率")
    assert [*find_cards(gallery)] == [JAPANESE] and gallery.find_element(By.ID, "count").text == "1 of 4 shown"
    gallery.find_element(By.ID, "search").clear()
    gallery.find_element(By.ID, "search").send_keys(" ", Keys.BACKSPACE)
    Select(gallery.find_element(By.ID, "parameter")).select_by_visible_text("steps")
    Select(gallery.find_element(By.ID, "value")).select_by_visible_text("200")
    assert set(find_cards(gallery)) == set(EXPERIMENTS)


def test_selected_runs_give_a_command_that_a_shell_reads_as_one_word_each(gallery: Chrome) -> None:
    cards = find_cards(gallery)
    selection = gallery.find_element(By.CSS_SELECTOR, ".selection")
    assert not selection.is_displayed()
    for name in (JAPANESE, HOSTILE):
        cards[name].find_element(By.CSS_SELECTOR, ".pick input").send_keys(Keys.SPACE)
    command = gallery.find_element(By.ID, "command").text
    assert shlex.split(command) == ["omokage", "compare", JAPANESE, HOSTILE]
    gallery.find_element(By.ID, "clear").send_keys(Keys.ENTER)
    assert not selection.is_displayed()


def test_without_scripts_the_gallery_is_a_sorted_list(folder: Path) -> None:
    browser = start_browser("--blink-settings=scriptEnabled=false")
    try:
        browser.get((folder / "gallery.html").as_uri())
        assert next(iter(find_cards(browser))) == ARABIC
        assert not browser.find_element(By.CSS_SELECTOR, ".tools").is_displayed()
        assert not any(box.is_displayed() for box in browser.find_elements(By.CSS_SELECTOR, ".pick"))
    finally:
        browser.quit()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_its_window_and_paper_and_is_legible(session: Chrome, folder: Path, page: str) -> None:
    session.get((folder / page).as_uri())
    for width, scheme in ((390, "light"), (768, "dark"), (1280, "light")):
        set_window(session, width, scheme)
        assert session.execute_script("return document.documentElement.scrollWidth") == width
        ratios = session.execute_script(CONTRAST_SCRIPT)
        assert len(ratios) > 50 and [element for ratio, element in ratios if ratio < 4.5] == []
    # A4 without its margins is about 700 pixels wide.
    set_window(session, 700, "light")
    session.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert session.execute_script(SCROLLING_SCRIPT) == []
    session.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert session.get_log("browser") == []
    assert (folder / page).stat().st_size < 2_000_000
