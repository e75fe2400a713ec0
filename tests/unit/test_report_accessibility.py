"""The report for every reader: axe-core finds no fault, the keyboard reaches everything, and nothing is lost on paper.

Needs chromium and chromium-driver, which .ci/run installs where it can.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from support.browser import print_pages, remove_spaces, run_axe, set_window, wait_until
from support.html_parsers import VisibleTexts
from support.report_fixtures import GOOD_RUN, write_report_inputs

from omokage.stages import report

# Returns the elements that the Tab key must reach, in the order of the document.
STOPS_SCRIPT = """
return [...document.querySelectorAll("a[href], button, input, summary, .scroll[role]")].filter((element) =>
  element.checkVisibility() && !element.closest("dialog")
  && (!element.matches(".scroll") || element.scrollWidth > element.clientWidth));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a table that is too wide for a phone."""
    rows = [{"step": "9" * 9, "pictures": "9" * 9, "distance": "4", "kid": "-0.1", "n": "6" * 9, "other": "7" * 9}]
    job = write_report_inputs(tmp_path_factory.mktemp("page"), "A title", replace(GOOD_RUN, progress=rows))
    report.run(job)
    return job.output("results/report.html")


@pytest.fixture
def browser(session: Chrome, page: Path) -> Chrome:
    set_window(session, 390, "light")
    session.get("about:blank")
    session.get(page.as_uri())
    wait_until(session, lambda: session.find_element(By.CSS_SELECTOR, ".denoising.with-player"))
    return session


def test_axe_finds_no_fault_at_any_width_in_either_colour_scheme(browser: Chrome) -> None:
    browser.execute_script("document.querySelectorAll('details').forEach((element) => { element.open = true; })")
    for width in (390, 768, 1280):
        for scheme in ("light", "dark"):
            set_window(browser, width, scheme)
            assert (width, scheme, run_axe(browser)) == (width, scheme, [])


def test_axe_finds_a_fault_that_is_put_in(browser: Chrome) -> None:
    browser.execute_script("document.querySelector('.scroll').style.color = '#ccc'")
    browser.execute_script("document.querySelector('figure img').removeAttribute('alt')")
    faults = {fault for fault, _ in run_axe(browser)}
    assert {"color-contrast", "image-alt"} <= faults


def test_the_tab_key_reaches_every_control_and_every_wide_table_in_order(browser: Chrome) -> None:
    stops = browser.execute_script(STOPS_SCRIPT)
    tables = [stop for stop in stops if "scroll" in (stop.get_attribute("class") or "")]
    assert "Scores during training" in [table.get_attribute("aria-label") for table in tables]
    reached = []
    for _ in stops:
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser.switch_to.active_element)
    assert reached == stops
    set_window(browser, 1280, "light")
    wait_until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "[open] > .scroll[tabindex]") == [])


def test_a_link_to_a_folded_section_opens_it(browser: Chrome, page: Path) -> None:
    section = browser.find_element(By.XPATH, "//details[summary/h2[@id='parameters']]")
    assert not section.get_property("open")
    contents = browser.find_element(By.CSS_SELECTOR, ".contents summary")
    contents.send_keys(Keys.ENTER)
    link = browser.find_element(By.CSS_SELECTOR, ".contents a[href='#parameters']")
    for _ in range(2):  # the second time, the address does not change
        link.click()
        assert section.get_property("open")
        browser.execute_script("arguments[0].open = false", section)
    browser.get("about:blank")
    browser.get(f"{page.as_uri()}#parameters")
    assert browser.find_element(By.XPATH, "//details[summary/h2[@id='parameters']]").get_property("open")
    heading = browser.find_element(By.ID, "parameters")
    assert 0 <= browser.execute_script("return arguments[0].getBoundingClientRect().top", heading) < 900


def test_a_section_folds_with_the_keyboard_and_keeps_its_heading(browser: Chrome) -> None:
    summary = browser.find_element(By.XPATH, "//summary[h2[@id='style']]")
    table = browser.find_element(By.XPATH, "//details[summary/h2[@id='style']]//table")
    assert table.is_displayed()
    summary.send_keys(Keys.ENTER)
    assert not table.is_displayed() and browser.find_element(By.ID, "style").is_displayed()


def test_paper_shows_all_texts_and_no_page_ends_with_a_title(browser: Chrome, page: Path) -> None:
    set_window(browser, 1280, "dark")
    pages = print_pages(browser)
    html = page.read_text().replace('<details class="section">', '<details class="section" open>')
    texts = [remove_spaces(text) for text in VisibleTexts(html).texts]
    assert "sampler" in texts and "Parametersthatdifferfromtheirdefault" in texts
    assert [text for text in texts if text not in "".join(pages)] == []
    elements = browser.find_elements(By.CSS_SELECTOR, "h2, caption")
    headings = {remove_spaces(element.get_attribute("textContent") or "") for element in elements}
    assert len(headings) == len(elements) and "" not in headings
    assert [heading for heading in headings for page_text in pages if page_text.endswith(heading)] == []
    # Folded on the screen, before and after.
    assert not browser.find_element(By.XPATH, "//details[summary/h2[@id='parameters']]").get_property("open")


def find_cut_off(browser: Chrome) -> list[Any]:
    """Return the elements with a scrollbar or beyond the right edge of the paper."""
    cut_off: list[Any] = browser.execute_script(
        """
        return [...document.querySelectorAll("main *")].filter((element) => element.checkVisibility()
          && (element.getBoundingClientRect().right > innerWidth + 0.5
            || (["auto", "scroll"].includes(getComputedStyle(element).overflowX)
              && element.scrollWidth > element.clientWidth)))
          .map((element) => element.outerHTML.slice(0, 80));
        """
    )
    return cut_off


def test_paper_has_no_scrollbar(browser: Chrome) -> None:
    assert find_cut_off(browser) != []  # the wide table, on a phone
    set_window(browser, 680, "light")  # the width of A4 between its margins
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert find_cut_off(browser) == []
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
