"""The documentation as `make docs` builds it: no dead link, nothing from the network, and fit for small windows."""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from support.browser import CONTRAST_SCRIPT, set_window, start_browser, wait_until
from support.clone import ROOT, create_once

from omokage.config.parameters import DESCRIPTIONS

# Elements and attributes whose address a browser loads, other than that of a link that a reader follows.
LOADED = {
    *(("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("audio", "src")),
    *(("img", "srcset"), ("source", "srcset"), ("embed", "src"), ("object", "data"), ("link", "href"), ("use", "href")),
}
IN_CSS = re.compile(r"@import\s*[\"']?([^\"';]+)|url\(\s*[\"']?([^\"')]+)")
# Returns the elements of the page that widen it, unless they lie in an element that scrolls.
OVERFLOW_SCRIPT = """
const scrolls = (element) => element && element !== document.body
  && (["auto", "scroll"].includes(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
return [...document.querySelectorAll("article *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5 && !scrolls(element))
  .map((element) => element.outerHTML.slice(0, 120));
"""


class Addresses(HTMLParser):
    """Collects what a page loads, the addresses that it links to, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self.loaded += list_css_addresses(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if (tag, key) in LOADED:
                self.loaded.append(value or "")
            elif key == "style":
                self.loaded += list_css_addresses(value or "")
            elif key == "href":
                self.linked.append(value or "")
            elif key in ("id", "name"):
                self.anchors.add(value or "")


def list_css_addresses(text: str) -> list[str]:
    """Return what a style sheet loads."""
    return [first or second for first, second in IN_CSS.findall(text)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def create(folder: Path) -> None:
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))  # raises Abort at a warning

    return create_once(tmp_path_factory, "site", create)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Addresses]:
    """Return every HTML file of the site."""
    return {path: Addresses(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def find_external(addresses: Iterable[str]) -> list[str]:
    """Return the addresses that are neither relative nor data within the page."""
    return [item for item in addresses if item.startswith("//") or urlsplit(item).scheme not in ("", "data")]


def test_nothing_is_loaded_from_the_network(site: Path, pages: dict[Path, Addresses]) -> None:
    assert len(pages) > 25
    for path, page in pages.items():
        assert find_external(page.loaded) == [], path
    for path in site.rglob("*.css"):
        assert find_external(list_css_addresses(path.read_text(encoding="utf-8"))) == [], path


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://a.org/b"></script>',
        '<link rel="stylesheet" href="//a.org/b">',
        '<p style="background: url(https://a.org/b)">',
        "<style>@import 'https://a.org/b';</style>",
        "<style>@font-face { src: local(b), url(https://a.org/b) }</style>",
    ],
)
def test_a_resource_from_the_network_would_be_found(text: str) -> None:
    assert len(find_external(Addresses(text).loaded)) == 1


def test_every_link_leads_to_a_file_and_an_anchor(pages: dict[Path, Addresses]) -> None:
    dead = []
    for path, page in pages.items():
        for address in (*page.linked, *page.loaded):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or (path.name == "404.html" and parts.path.startswith("/")):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            fragment = unquote(parts.fragment)
            known = not fragment or target not in pages or fragment in pages[target].anchors
            if not target.is_file() or not known:
                dead.append((path.name, address))
    assert dead == []


def test_every_parameter_has_an_anchor(site: Path, pages: dict[Path, Addresses]) -> None:
    assert pages[site / "reference" / "parameters.html"].anchors >= DESCRIPTIONS.keys()


def test_no_equation_is_left_as_source(pages: dict[Path, Addresses]) -> None:
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert 'class="arithmatex">\\' not in text, path
        assert "$$" not in re.sub("<(pre|code).*?</\\1>", "", text, flags=re.DOTALL), path


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    browser = start_browser()
    yield browser
    browser.quit()


def test_pages_fit_into_a_window_of_390_pixels(browser: Chrome, pages: dict[Path, Addresses]) -> None:
    set_window(browser, 390, "light")
    for path in pages:
        if path.name != "404.html":  # its addresses start at the root of a server
            browser.get(path.as_uri())
            assert browser.execute_script(OVERFLOW_SCRIPT) == [], path
            assert browser.execute_script("return document.documentElement.scrollWidth") <= 390, path


@pytest.mark.parametrize(("scheme", "palette"), [("light", "default"), ("dark", "slate")])
def test_the_palette_is_that_of_the_system_and_legible(browser: Chrome, site: Path, scheme: str, palette: str) -> None:
    set_window(browser, 1280, scheme)
    for name in ("index", "how-diffusion-works", "reference/parameters", "reference/python"):
        browser.get((site / f"{name}.html").as_uri())
        assert browser.find_element(By.TAG_NAME, "body").get_attribute("data-md-color-scheme") == palette
        contrasts = browser.execute_script(CONTRAST_SCRIPT)
        assert len(contrasts) > 50 and [text for ratio, text in contrasts if ratio < 4.5] == [], name
    assert browser.get_log("browser") == []


def test_the_search_works_in_files(browser: Chrome, site: Path) -> None:
    set_window(browser, 1280, "light")
    browser.get((site / "index.html").as_uri())
    browser.find_element(By.CSS_SELECTOR, "input[name=query]").send_keys("log_snr_shift")
    result = ".md-search-result__link"
    wait_until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, result))
    addresses = [link.get_attribute("href") or "" for link in browser.find_elements(By.CSS_SELECTOR, result)]
    assert any(address.partition("?")[0].endswith("reference/parameters.html") for address in addresses)
