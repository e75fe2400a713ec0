"""Hooks of MkDocs: files of the repository in the site, the source of functions, and equations as MathML.

MkDocs calls the functions named `on_*`. Each fault in a page is a warning of one line that names the page and the line;
`make docs` is strict, so that a warning fails the build.
"""

import html
import logging
import posixpath
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import griffe
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks")

# Pages of the site that are files outside docs/. Other Markdown files that a page links to are pages below PAGES.
RENAMED = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
PAGES, FILES = "repository/", "files/"
# Files with these suffixes are copied. Every other file is shown as text.
COPIED = {".gif", ".html", ".jpg", ".png", ".svg"}
TEXT_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark }}
h1, pre {{ overflow-wrap: anywhere; white-space: pre-wrap }}
</style>
<title>{path}</title>
<h1>{path}</h1>
<pre>{text}</pre>
"""
# A block or span of code, a comment that stands for the documentation of an object, or the address of a link or image.
TOKENS = re.compile(
    r"(?P<code>^[ >]*(?P<fence>`{3,}|~{3,}).*?^[ >]*(?P=fence)|(?P<ticks>`+)(?!`)(?:(?!\n\n).)*?(?<!`)(?P=ticks)(?!`))"
    r"|^<!-- *(?P<kind>function|module): *(?P<name>[\w.]+)(?: *\((?P<members>[\w, ]+)\))? *-->$"
    r"|(?P<before>\]\(|^\[[^\]]+\]: |\b(?:src|href)=\")(?P<address>[^\s()\"]+)",
    re.DOTALL | re.MULTILINE,
)
# What pymdownx.arithmatex makes of an equation: \(...\) inline, \[...\] as a block.
EQUATION = re.compile(r"(?<=class=\"arithmatex\">)\\(?P<bracket>[(\[])(?P<latex>.*?)\\[)\]](?=</)", re.DOTALL)
# MathML element -> number of its children. latex2mathml makes others of an incomplete equation, such as \frac{a}.
CHILDREN = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3}
SOURCE = """\
~~~~python title="{path}, line {line}"
{source}
~~~~
"""
REFERENCE = """\
::: {name}
    options:
      members: {members}
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside docs/ that the pages link to, and those that the linked pages link to in turn."""
    root = find_root(config)
    for path in RENAMED:
        if (root / path).is_file():
            files.append(make_file(path, config))
    pages = list(files.documentation_pages())
    for page in pages:  # grows while it is read
        for path in list_linked(page.content_string, find_source(page, root)):
            if files.get_file_from_path(place(path)) is None and can_be_shown(root / path):
                files.append(file := make_file(path, config))
                if file.is_documentation_page():
                    pages.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Adapt links to files outside docs/, and replace the comments `function: NAME` and `module: NAME`."""
    root = find_root(config)
    source = find_source(page.file, root)
    if page.file.src_uri.startswith(PAGES):
        page.meta["search"] = {"exclude": True}

    # MkDocs has removed the metadata at the top of the page, if there is any.
    first_line = 1 + page.file.content_string.count("\n") - markdown.count("\n")

    def replace(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        try:
            if match["kind"]:
                return render_object(root, match["kind"], match["name"], match["members"])
            return match["before"] + rewrite_address(match["address"], source, page.file.src_uri, root)
        except ValueError as error:
            log.warning("%s:%d: %s", source, first_line + markdown.count("\n", 0, match.start()), error)
            return f"{match['before']}#" if match["address"] else ""  # so that MkDocs does not warn of it again

    return TOKENS.sub(replace, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Convert the equations of a page to MathML."""

    def replace(match: re.Match[str]) -> str:
        latex = html.unescape(match["latex"]).strip()
        try:
            return convert_equation(latex, "block" if match["bracket"] == "[" else "inline")
        except ValueError as error:
            before, _, _ = blank_code(page.file.content_string).partition(latex.partition("\n")[0])
            log.warning("%s:%d: %s", find_source(page.file, find_root(config)), 1 + before.count("\n"), error)
            return match[0]

    return EQUATION.sub(replace, content)


def find_root(config: MkDocsConfig) -> Path:
    """Return the folder of mkdocs.yml, which is that of the repository."""
    return Path(config.config_file_path).parent


def find_source(file: File, root: Path) -> str:
    """Return the path of a page's Markdown file, relative to the repository."""
    assert file.abs_src_path is not None
    return Path(file.abs_src_path).relative_to(root).as_posix()


def blank_code(markdown: str) -> str:
    """Return the Markdown with its code replaced by empty lines."""
    return TOKENS.sub(lambda match: "\n" * match[0].count("\n") if match["code"] else match[0], markdown)


def list_linked(markdown: str, source: str) -> Iterator[str]:
    """Yield the files of the repository outside docs/ that the page `source` links to."""
    for match in TOKENS.finditer(markdown):
        if match["address"]:
            path = locate(match["address"], source)
            if path and not path.startswith(("docs/", "..")):
                yield path


def locate(address: str, source: str) -> str | None:
    """Return the path in the repository of a relative address in the page `source`; None for any other address."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not parts.path or parts.path.startswith("/"):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), unquote(parts.path)))


def place(path: str) -> str:
    """Return the place in the site, as MkDocs' `src_uri`, of a path in the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.endswith(".md"):
        return RENAMED.get(path, PAGES + path)
    return FILES + path + ("" if Path(path).suffix in COPIED else ".html")


def can_be_shown(path: Path) -> bool:
    """Return whether a path is a folder, a text, or a file that is copied."""
    if path.is_file() and path.suffix not in COPIED:
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return False
    return path.exists()


def make_file(path: str, config: MkDocsConfig) -> File:
    """Return the site's file for a file or folder of the repository."""
    source, src_uri = find_root(config) / path, place(path)
    if source.suffix in COPIED or source.suffix == ".md":
        return File.generated(config, src_uri, abs_src_path=str(source))
    if source.is_dir():
        text = "".join(f"{item.name}\n" for item in sorted(source.iterdir()) if not item.name.startswith((".", "_")))
    else:
        text = source.read_text(encoding="utf-8")
    return File.generated(config, src_uri, content=TEXT_PAGE.format(path=html.escape(path), text=html.escape(text)))


def rewrite_address(address: str, source: str, src_uri: str, root: Path) -> str:
    """Return an address in the page `source`, adapted to the page's place in the site, `src_uri`.

    Raises ValueError if the file does not exist, or cannot be shown. MkDocs checks the anchors.
    """
    path = locate(address, source)
    if path is None:
        return address
    if path.startswith("..") or not (root / path).exists():
        raise ValueError(f"{address}: there is no {path} in the repository")
    if path.startswith("docs/") and source.startswith("docs/"):
        return address
    if not can_be_shown(root / path):
        raise ValueError(f"{address}: {path} is neither text nor {', '.join(sorted(COPIED))}")
    fragment = urlsplit(address).fragment
    return posixpath.relpath(place(path), posixpath.dirname(src_uri)) + (f"#{fragment}" if fragment else "")


def render_object(root: Path, kind: str, name: str, members: str | None) -> str:
    """Return the Markdown for the source of a function or class, or for the reference of a module.

    `members` lists the objects of the module to document, separated by commas; None means all that are public. Raises
    ValueError if the package has no such object.
    """
    package, chosen = load_package(root), members.split(", ") if members else []
    try:
        found, *_ = [package[item.partition(".")[2]] for item in (name, *(f"{name}.{member}" for member in chosen))]
    except KeyError as error:
        raise ValueError(f"{kind} {name}: there is no {error.args[0]} below src/") from None
    if kind == "module":
        return REFERENCE.format(name=name, members=chosen or "null")
    path = Path(str(found.filepath)).relative_to(root).as_posix()
    return SOURCE.format(path=path, line=found.lineno, source=found.source)


@cache
def load_package(root: Path) -> griffe.Object | griffe.Alias:
    """Return the package below src/, parsed and not imported."""
    return griffe.load("omokage", search_paths=[root / "src"])


def convert_equation(latex: str, display: str) -> str:
    """Return an equation as MathML. `display` is block or inline. Raises ValueError if the equation is broken."""
    try:
        mathml = convert(latex, display=display)
    except Exception as error:  # latex2mathml's exceptions have no common base class
        raise ValueError(f"the equation {latex} is broken: {type(error).__name__}") from error
    for element in ElementTree.fromstring(mathml).iter():
        tag = element.tag.rpartition("}")[2]
        if tag in CHILDREN and len(element) != CHILDREN[tag]:
            raise ValueError(
                f"the equation {latex} is broken: {tag} has {len(element)} parts, expected {CHILDREN[tag]}"
            )
        if (element.text or "").startswith("\\"):
            raise ValueError(f"the equation {latex} is broken: unknown command {element.text}")
    return mathml
