"""The report in a real browser: player, dialog and sorting work, text is legible, and nothing needs scripts.

Needs chromium and chromium-driver, which .ci/run installs where it can.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from support.browser import CONTRAST_SCRIPT, print_pages, remove_spaces, set_window, start_browser, wait_until
from support.html_parsers import VisibleTexts
from support.report_fixtures import GOOD_RUN, write_report_inputs

from omokage.report.parameters import CHANGED
from omokage.stages import report

# Returns the elements that reach beyond the right edge of the window.
OVERFLOW_SCRIPT = """
return [...document.querySelectorAll("main > *, figure, figure *, .controls *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
  .map((element) => element.outerHTML.slice(0, 80));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {"step": str(step), "pictures": "9", "distance": f"{4000 / step}", "kid": "-0.1", "n": "64"}
        for step in (900, 1000, 20_000)
    ]
    job = write_report_inputs(tmp_path_factory.mktemp("page"), run=replace(GOOD_RUN, progress=rows))
    report.run(job)
    return job.output("results/report.html")


@pytest.fixture
def browser(session: Chrome, page: Path) -> Iterator[Chrome]:
    """Load the page; after the test, check that the console is empty and that nothing else was requested."""
    set_window(session, 1280, "light")
    session.get_log("performance")
    session.get(page.as_uri())
    wait_until(session, lambda: session.find_element(By.CSS_SELECTOR, ".denoising.with-player"))
    yield session
    assert session.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in session.get_log("performance")]
    requests = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert page.as_uri() in requests
    assert all(url == page.as_uri() or url.startswith("data:") for url in requests)


def take_screenshot(element: WebElement) -> Any:
    """Return the pixels of an element, [h, w, 3]."""
    with Image.open(io.BytesIO(element.screenshot_as_png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_keyboard_and_play_button_move_the_denoising_player(browser: Chrome) -> None:
    faces, slider, label = (
        browser.find_element(By.CSS_SELECTOR, f".denoising {selector}") for selector in (".faces", "input", "output")
    )
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider)  # pressing a key scrolls no more
    first = take_screenshot(faces)
    start = label.text
    assert start.startswith("t = ") and "log-SNR" in start
    slider.send_keys(Keys.ARROW_RIGHT)
    assert label.text == slider.get_attribute("aria-valuetext") != start
    assert np.abs(take_screenshot(faces) - first).mean() > 5
    slider.send_keys(Keys.END)
    last = take_screenshot(faces)
    assert label.text == "clean image" and np.abs(last - first).mean() > 20
    # The last frame shows the clean images, of one colour per face.
    height = last.shape[0]
    assert np.abs(last[height // 4, 20] - 200).max() <= 4 and np.abs(last[3 * height // 4, 20] - 200).max() <= 4
    slider.send_keys(Keys.HOME)
    assert np.array_equal(take_screenshot(faces), first)
    play_button = browser.find_element(By.CSS_SELECTOR, ".denoising button")
    play_button.click()
    wait_until(browser, lambda: label.text == "clean image" and play_button.text == "Play")
    assert np.array_equal(take_screenshot(faces), last)


def test_touch_moves_the_slider(browser: Chrome) -> None:
    slider = browser.find_element(By.CSS_SELECTOR, ".denoising input")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider)
    box = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", slider)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    y = box["y"] + box["height"] / 2
    for kind, share in (("touchStart", 0.02), ("touchMove", 0.5), ("touchMove", 0.75)):
        points = [{"x": box["x"] + share * box["width"], "y": y}]
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert browser.find_element(By.CSS_SELECTOR, ".denoising output").text == "t = 0, log-SNR +3.0"


def test_a_figure_enlarges_and_returns_the_focus(browser: Chrome) -> None:
    dialog = browser.find_element(By.TAG_NAME, "dialog")
    buttons = browser.find_elements(By.CSS_SELECTOR, "figure.enlargeable button")
    assert len(buttons) == len(browser.find_elements(By.CSS_SELECTOR, "figure.enlargeable"))
    for button, key in ((buttons[0], Keys.ENTER), (buttons[3], None)):
        image = button.find_element(By.TAG_NAME, "img")
        width = image.size["width"]
        if key:
            button.send_keys(key)
        else:
            button.click()
        enlarged = dialog.find_element(By.TAG_NAME, "img")
        assert dialog.is_displayed() and enlarged.size["width"] > width
        assert enlarged.get_attribute("src") == image.get_attribute("src")
        assert enlarged.get_attribute("alt") == image.get_attribute("alt") != ""
        browser.switch_to.active_element.send_keys(Keys.ESCAPE)
        assert not dialog.is_displayed()
        assert browser.switch_to.active_element == button
    buttons[0].click()
    dialog.find_element(By.TAG_NAME, "button").click()
    assert not dialog.is_displayed()


def read_column(table: WebElement, number: int) -> list[str]:
    cells = table.find_elements(By.CSS_SELECTOR, f"tbody tr > :nth-child({number + 1})")
    return [cell.get_attribute("textContent") or "" for cell in cells]


def sort_by_column(table: WebElement, number: int) -> str | None:
    """Activate the heading of a column, and return the direction that it announces."""
    heading = table.find_elements(By.CSS_SELECTOR, "thead th")[number]
    heading.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    return heading.get_attribute("aria-sort")


def test_tables_sort_by_number_and_by_text(browser: Chrome) -> None:
    browser.execute_script("document.querySelectorAll('details').forEach((element) => { element.open = true; })")
    tables = {
        table.find_element(By.TAG_NAME, "caption").text: table
        for table in browser.find_elements(By.CSS_SELECTOR, "table")
    }
    dropped, progress = tables["Dropped faces"], tables["Scores during training"]
    parameters = tables[CHANGED]
    assert [sort_by_column(dropped, 1), read_column(dropped, 1)] == ["ascending", ["2", "9", "11"]]
    assert [sort_by_column(dropped, 1), read_column(dropped, 1)] == ["descending", ["11", "9", "2"]]
    assert [sort_by_column(dropped, 0), read_column(dropped, 0)[1:]] == ["ascending", ["blurred", "duplicate"]]
    assert dropped.find_elements(By.CSS_SELECTOR, "thead th")[1].get_attribute("aria-sort") is None
    assert read_column(dropped, 1) == ["2", "9", "11"]
    assert [sort_by_column(progress, 2), read_column(progress, 0)] == ["ascending", ["20,000", "1,000", "900"]]
    names = read_column(parameters, 0)
    sort_by_column(parameters, 0)
    assert read_column(parameters, 0) == sorted(names) != names


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(browser: Chrome, scheme: str) -> None:
    set_window(browser, 1280, scheme)
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(251, 250, 248)", "dark": "rgb(23, 23, 26)"}[scheme]
    ratios = browser.execute_script(CONTRAST_SCRIPT)
    assert len(ratios) > 100
    assert [element for ratio, element in ratios if ratio < 4.5] == []


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_window(browser: Chrome, width: int) -> None:
    set_window(browser, width, "light")
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    assert browser.execute_script(OVERFLOW_SCRIPT) == []


def test_without_scripts_all_content_is_visible(page: Path) -> None:
    browser = start_browser("--blink-settings=scriptEnabled=false")
    try:
        set_window(browser, 1280, "light")
        browser.get(page.as_uri())
        visible = " ".join(browser.find_element(By.TAG_NAME, "main").text.split())
        texts = VisibleTexts(page.read_text()).texts
        assert len(texts) > 200
        assert [text for text in texts if text not in visible] == []
        images = browser.find_elements(By.CSS_SELECTOR, "main img")
        assert len(images) == 16
        assert all(image.is_displayed() and image.size["height"] > 40 for image in images)
        assert not browser.find_element(By.CSS_SELECTOR, ".player").is_displayed()
        assert take_screenshot(browser.find_element(By.CSS_SELECTOR, ".sprite-sheet img")).std() > 20
        assert browser.find_elements(By.CSS_SELECTOR, "main button:not(.player button)") == []
        # The section of the parameters is folded on the screen, and printed.
        assert CHANGED not in visible and remove_spaces(CHANGED) in "".join(print_pages(browser))
    finally:
        browser.quit()
