"""A headless Chromium for tests. Needs chromium and chromium-driver, which .ci/run installs where it can."""

import base64
import io
import shutil
import unicodedata
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from pypdf import PdfReader
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.support.wait import WebDriverWait

from support.clone import skip_unless_installed

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
# Runs all rules: those of WCAG 2.2, levels A and AA, with the size of targets, and the best practices.
AXE_SCRIPT = """
const done = arguments[0];
axe.run(document, {resultTypes: ["violations"], rules: {"target-size": {enabled: true}}}).then(
  (results) => done(results.violations.map((fault) => [fault.id, fault.nodes.map((node) => node.html.slice(0, 120))])),
  (error) => done([[String(error), []]]));
"""
# Returns the contrast ratio (WCAG 2.2, 1.4.3) of every visible text, from the colours that the browser computed.
CONTRAST_SCRIPT = """
const parseColour = (colour) => colour.match(/[\\d.]+/g).map(Number);
const getLuminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const getBackground = (element) => {
  for (let ancestor = element; ancestor; ancestor = ancestor.parentElement) {
    const colour = parseColour(getComputedStyle(ancestor).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
};
const elements = [...document.querySelectorAll("main *")].filter((element) => element.checkVisibility()
  && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
return elements.map((element) => {
  const colours = [parseColour(getComputedStyle(element).color), getBackground(element)];
  const [dark, light] = colours.map(getLuminance).sort((a, b) => a - b);
  return [(light + 0.05) / (dark + 0.05), element.outerHTML.slice(0, 80)];
});
"""


def start_browser(*arguments: str) -> Chrome:
    """Start Chromium with these arguments; skip the test if it is not installed."""
    skip_unless_installed(("chromium", "chromedriver"), "chromium and chromium-driver")
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    # In a container Chromium cannot create its sandbox, and shared memory is small.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return Chrome(options=options, service=ChromeService(str(shutil.which("chromedriver"))))


def set_window(browser: Chrome, width: int, scheme: str) -> None:
    """Set the width in pixels and the colour scheme, light or dark."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    preference = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})


def run_axe(browser: Chrome) -> list[tuple[str, list[str]]]:
    """Return the violations that axe-core finds in the document: the rule, and the start of each element's HTML."""
    if not browser.execute_script("return 'axe' in window"):
        browser.execute_script(AXE)
    return [(rule, elements) for rule, elements in browser.execute_async_script(AXE_SCRIPT)]


def wait_until(browser: Chrome, condition: Callable[[], Any]) -> None:
    """Wait until the condition holds; fail after 20 seconds."""
    WebDriverWait(browser, 20).until(lambda _: condition())


def print_pages(browser: Chrome) -> list[str]:
    """Print the document as a PDF of A4 pages, and return the text of each page without white space."""
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    return [remove_spaces(page.extract_text()) for page in PdfReader(io.BytesIO(base64.b64decode(pdf["data"]))).pages]


def remove_spaces(text: str) -> str:
    """Return the text without white space, and with ligatures as letters."""
    return "".join(unicodedata.normalize("NFKC", text).split())
