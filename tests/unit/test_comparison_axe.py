"""The comparison and the gallery have no violation of the rules of axe-core, at three widths in both colour schemes."""

from pathlib import Path

import pytest
from support.browser import run_axe, set_window, start_browser
from support.gallery_checkout import write_pages


@pytest.mark.parametrize("page", ["compare.html", "gallery.html"])
def test_axe_finds_no_violation(tmp_path: Path, page: str) -> None:
    folder = write_pages(tmp_path)
    browser = start_browser()
    try:
        browser.get((folder / page).as_uri())
        # Also check what is folded, and the selection.
        browser.execute_script("for (const item of document.querySelectorAll('details')) item.open = true")
        browser.execute_script("for (const box of document.querySelectorAll('.pick input')) box.click()")
        for width in (390, 768, 1280):
            for scheme in ("light", "dark"):
                set_window(browser, width, scheme)
                assert run_axe(browser) == []
    finally:
        browser.quit()
