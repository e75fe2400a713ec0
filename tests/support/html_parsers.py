"""Parsers that collect parts of an HTML page."""

from html.parser import HTMLParser


class Elements(HTMLParser):
    """Collects the tags of a page, and the values of all src and href attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]


class VisibleTexts(HTMLParser):
    """Collects the texts in the `main` element of a page that a reader sees without scripts and without a click.

    The controls of the denoising player and `details` elements that are folded at first are left out.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.hidden_in = ""
        self.feed(html.partition("<main>")[2].partition("</main>")[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if attributes.get("class") == "controls" or (tag == "details" and "open" not in attributes):
            self.hidden_in = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self.hidden_in:
            self.hidden_in = ""

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        self.texts += [text] if text and not self.hidden_in else []


class ParamsFile(HTMLParser):
    """Finds the params.yaml that a report contains; its content is in `text`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.text = data if data.startswith("source: ") else self.text
