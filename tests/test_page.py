"""The report in a real browser: it moves, enlarges, sorts, is legible, and is whole without scripts.

Needs Debian's chromium and chromium-driver, which .ci/run installs where it may.
"""

import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import skip_without
from made_up import GOOD, a_report
from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from omokage.stages import report

# What the smallest text on a background must differ by (WCAG 2.2, 1.4.3), measured from what the browser computed.
CONTRAST = """
const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
};
const texts = [...document.querySelectorAll("main *")].filter((element) => element.checkVisibility()
  && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
return texts.map((element) => {
  const [one, other] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
  return [(Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05), element.outerHTML.slice(0, 80)];
});
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {"step": str(step), "pictures": "9", "distance": f"{4000 / step}", "kid": "-0.1", "n": "64"}
        for step in (900, 1000, 20_000)
    ]
    job = a_report(tmp_path_factory.mktemp("page"), judged=replace(GOOD, progress=rows))
    report.run(job)
    return job.output("results/report.html")


def opened(*arguments: str) -> Chrome:
    skip_without(("chromium", "chromedriver"), "chromium and chromium-driver")
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    # In a container Chromium cannot make a sandbox of its own, and shared memory is small.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return Chrome(options=options, service=ChromeService(str(shutil.which("chromedriver"))))


@pytest.fixture(scope="module")
def session() -> Iterator[Chrome]:
    browser = opened()
    yield browser
    browser.quit()


@pytest.fixture
def browser(session: Chrome, page: Path) -> Iterator[Chrome]:
    """The page, freshly loaded; whatever a test does with it, the console stays empty and nothing is fetched."""
    look(session, 1280, "light")
    session.get_log("performance")
    session.get(page.as_uri())
    until(session, lambda: session.find_element(By.CSS_SELECTOR, ".film.moving"))
    yield session
    assert session.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in session.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in sent if event["method"] == "Network.requestWillBeSent"}
    assert page.as_uri() in asked
    assert all(url == page.as_uri() or url.startswith("data:") for url in asked)


def look(browser: Chrome, width: int, scheme: str) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    preference = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})


def until(browser: Chrome, reached: Callable[[], Any]) -> None:
    WebDriverWait(browser, 20).until(lambda _: reached())


def shown(element: WebElement) -> Any:
    with Image.open(io.BytesIO(element.screenshot_as_png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_the_slider_moves_the_pictures_by_keyboard_and_by_play(browser: Chrome) -> None:
    faces, slider, at = (
        browser.find_element(By.CSS_SELECTOR, f".film {what}") for what in (".faces", "input", "output")
    )
    start = shown(faces)
    assert at.text == "step t = 4"
    slider.send_keys(Keys.ARROW_RIGHT)
    assert at.text == slider.get_attribute("aria-valuetext") == "step t = 3"
    assert np.abs(shown(faces) - start).mean() > 5
    slider.send_keys(Keys.END)
    end = shown(faces)
    assert at.text == "step t = 0" and np.abs(end - start).mean() > 20
    # The last moment is the clean picture: one colour a face, as the film has it.
    height = end.shape[0]
    assert np.abs(end[height // 4, 20] - 200).max() <= 4 and np.abs(end[3 * height // 4, 20] - 200).max() <= 4
    slider.send_keys(Keys.HOME)
    assert np.array_equal(shown(faces), start)
    play = browser.find_element(By.CSS_SELECTOR, ".film button")
    play.click()
    until(browser, lambda: at.text == "step t = 0" and play.text == "Play")
    assert np.array_equal(shown(faces), end)


def test_a_drag_moves_the_slider(browser: Chrome) -> None:
    slider = browser.find_element(By.CSS_SELECTOR, ".film input")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider)
    box = browser.execute_script("return arguments[0].getBoundingClientRect().toJSON()", slider)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    y = box["y"] + box["height"] / 2
    for kind, share in (("touchStart", 0.02), ("touchMove", 0.5), ("touchMove", 0.75)):
        points = [{"x": box["x"] + share * box["width"], "y": y}]
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert browser.find_element(By.CSS_SELECTOR, ".film output").text == "step t = 1"


def test_a_picture_enlarges_and_gives_the_focus_back(browser: Chrome) -> None:
    dialog = browser.find_element(By.TAG_NAME, "dialog")
    buttons = browser.find_elements(By.CSS_SELECTOR, "figure.picture button")
    assert len(buttons) == len(browser.find_elements(By.CSS_SELECTOR, "figure.picture"))
    for button, way in ((buttons[0], Keys.ENTER), (buttons[3], None)):
        picture = button.find_element(By.TAG_NAME, "img")
        small = picture.size["width"]
        if way:
            button.send_keys(way)
        else:
            button.click()
        large = dialog.find_element(By.TAG_NAME, "img")
        assert dialog.is_displayed() and large.size["width"] > small
        assert large.get_attribute("src") == picture.get_attribute("src")
        assert large.get_attribute("alt") == picture.get_attribute("alt") != ""
        browser.switch_to.active_element.send_keys(Keys.ESCAPE)
        assert not dialog.is_displayed()
        assert browser.switch_to.active_element == button
    buttons[0].click()
    dialog.find_element(By.TAG_NAME, "button").click()
    assert not dialog.is_displayed()


def column(table: WebElement, number: int) -> list[str]:
    cells = table.find_elements(By.CSS_SELECTOR, f"tbody td:nth-child({number + 1})")
    return [cell.get_attribute("textContent") or "" for cell in cells]


def test_tables_sort_by_number_and_by_word(browser: Chrome) -> None:
    tables = {
        table.find_element(By.TAG_NAME, "caption").text: table
        for table in browser.find_elements(By.CSS_SELECTOR, "table")
    }
    dropped, progress, parameters = (
        tables[name] for name in ("What was dropped", "Scores over the training", "Every parameter of this run")
    )

    def sort(table: WebElement, number: int) -> str | None:
        head = table.find_elements(By.TAG_NAME, "th")[number]
        head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
        return head.get_attribute("aria-sort")

    assert [sort(dropped, 1), column(dropped, 1)] == ["ascending", ["2", "9", "11"]]
    assert [sort(dropped, 1), column(dropped, 1)] == ["descending", ["11", "9", "2"]]
    assert [sort(dropped, 0), column(dropped, 0)[1:]] == ["ascending", ["blurred", "duplicate"]]
    assert dropped.find_elements(By.TAG_NAME, "th")[1].get_attribute("aria-sort") is None
    assert column(dropped, 1) == ["2", "9", "11"]
    assert [sort(progress, 2), column(progress, 0)] == ["ascending", ["20,000", "1,000", "900"]]
    before = column(parameters, 1)
    sort(parameters, 1)
    assert column(parameters, 1) == sorted(before) != before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(browser: Chrome, scheme: str) -> None:
    look(browser, 1280, scheme)
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(251, 250, 248)", "dark": "rgb(23, 23, 26)"}[scheme]
    measured = browser.execute_script(CONTRAST)
    assert len(measured) > 100
    assert [text for ratio, text in measured if ratio < 4.5] == []


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_window(browser: Chrome, width: int) -> None:
    look(browser, width, "light")
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    beyond = browser.execute_script(
        "return [...document.querySelectorAll('main > *, figure, figure *, .controls *')]"
        ".filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert beyond == []


class Texts(HTMLParser):
    """Collects the texts of a page's main part, without what its player and what it folds away say."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.hidden = ""
        self.feed(html.partition("<main>")[2].partition("</main>")[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if (tag, dict(attrs).get("class")) in (("div", "controls"), ("details", None)):
            self.hidden = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self.hidden:
            self.hidden = ""

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        self.texts += [text] if text and not self.hidden else []


def test_without_scripts_everything_is_there(page: Path) -> None:
    browser = opened("--blink-settings=scriptEnabled=false")
    try:
        look(browser, 1280, "light")
        browser.get(page.as_uri())
        read = " ".join(browser.find_element(By.TAG_NAME, "main").text.split())
        written = Texts(page.read_text()).texts
        assert len(written) > 200
        assert [text for text in written if text not in read] == []
        pictures = browser.find_elements(By.CSS_SELECTOR, "main img")
        assert len(pictures) == 13
        assert all(picture.is_displayed() and picture.size["height"] > 40 for picture in pictures)
        assert not browser.find_element(By.CSS_SELECTOR, ".player").is_displayed()
        assert shown(browser.find_element(By.CSS_SELECTOR, ".strip img")).std() > 20
        assert browser.find_elements(By.CSS_SELECTOR, "main button:not(.player button)") == []
    finally:
        browser.quit()
