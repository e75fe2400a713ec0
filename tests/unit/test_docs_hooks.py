"""The hooks of the documentation, on small sites: each builds a site from a few pages and files of a repository."""

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import hooks
import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort
from support.clone import ROOT

CONFIG = """\
site_name: Test
strict: true
use_directory_urls: false
hooks: [{hooks}]
theme: {{name: null, custom_dir: theme}}
not_in_nav: /repository/
plugins: []
markdown_extensions: [pymdownx.arithmatex: {{generic: true}}, pymdownx.superfences]
validation: {{links: {{anchors: warn}}}}
"""
NOISE = '''\
"""Noise."""

def add(x: int) -> int:
    """Return x and `1 < 2` more."""
    return x + 2


class Schedule:
    def halve(self) -> int:
        return 1
'''
# Files of the repository next to docs/.
FILES = {
    "src/omokage/__init__.py": '"""A package."""\n',
    "src/omokage/noise.py": NOISE,
    "params.yaml": "lr: 0.1  # <rate>\n",
    "results/report.md": "# The report\n\n![](figures/a.png) [data](../params.yaml) [guide](../docs/guides/data.md)\n",
    "results/report.html": "<p>report</p>",
    "results/figures/a.png": "a png",
    "CONTRIBUTING.md": "# Contributing\n\n## Tests\n\n[code](src/omokage/noise.py), [data](docs/guides/data.md#data)\n",
    "CHANGELOG.md": "# Changelog\n\n[contributing](CONTRIBUTING.md#tests)\n",
}

BuildSite = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def build_site(tmp_path: Path) -> BuildSite:
    """Return a function that builds a site from pages, by their path in docs/, and returns the folder of the site."""

    def build_pages(pages: Mapping[str, str]) -> Path:
        texts = {"mkdocs.yml": CONFIG.format(hooks=ROOT / "docs/hooks.py"), "theme/main.html": "{{ page.content }}"}
        documents = {"index.md": "# Home\n", "guides/data.md": "# Data\n", **pages}
        for path, text in (texts | FILES | {f"docs/{path}": text for path, text in documents.items()}).items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        (tmp_path / "model.bin").write_bytes(b"\xff\x00")
        build(load_config(str(tmp_path / "mkdocs.yml")))
        return tmp_path / "site"

    return build_pages


def read_links(site: Path, page: str) -> list[Path]:
    """Return the files that a page links to, relative to the site; every one of them exists."""
    addresses = re.findall(r'(?:href|src)="([^"#]+)', (site / page).read_text())
    files = [((site / page).parent / address).resolve() for address in addresses]
    assert all(file.is_file() for file in files)
    return [file.relative_to(site) for file in files]


@pytest.mark.parametrize(("page", "up"), [("index.md", ".."), ("guides/data.md", "../..")])
def test_links_to_files_of_the_repository_work_at_any_depth(build_site: BuildSite, page: str, up: str) -> None:
    links = f'![Figure]({up}/results/figures/a.png) <img src="{up}/results/figures/a.png"> [p]({up}/params.yaml)'
    site = build_site({page: f"# Data\n\n{links}\n"})
    figure, text = Path("files/results/figures/a.png"), Path("files/params.yaml.html")
    assert read_links(site, page.replace(".md", ".html")) == [figure, figure, text]
    assert (site / figure).read_text() == "a png"
    assert "<pre>lr: 0.1  # &lt;rate&gt;\n</pre>" in (site / text).read_text()


def test_a_linked_markdown_file_is_a_page_whose_own_links_work(build_site: BuildSite) -> None:
    site = build_site({"index.md": "[report](../results/report.md), [as one page](../results/report.html)\n"})
    page, copy = Path("repository/results/report.html"), Path("files/results/report.html")
    assert read_links(site, "index.html") == [page, copy]
    assert (site / copy).read_text() == "<p>report</p>"
    linked = ["files/results/figures/a.png", "files/params.yaml.html", "guides/data.html"]
    assert read_links(site, str(page)) == [Path(path) for path in linked]


def test_contributing_and_changelog_are_pages(build_site: BuildSite) -> None:
    site = build_site({"guides/data.md": "# Data\n\n[tests](../../CONTRIBUTING.md#tests)\n"})
    assert read_links(site, "contributing.html") == [Path("files/src/omokage/noise.py.html"), Path("guides/data.html")]
    assert read_links(site, "changelog.html") == [Path("contributing.html")]
    assert 'href="../contributing.html#tests"' in (site / "guides/data.html").read_text()


def test_a_linked_folder_is_shown_as_the_list_of_its_files(build_site: BuildSite) -> None:
    site = build_site({"index.md": "[the package](../src/omokage)\n"})
    assert read_links(site, "index.html") == [Path("files/src/omokage.html")]
    assert "<pre>noise.py\n</pre>" in (site / "files/src/omokage.html").read_text()


def test_a_comment_shows_the_source_of_a_function(build_site: BuildSite) -> None:
    page = "# Home\n\n<!-- function: omokage.noise.add -->\n\n<!-- function: omokage.noise.Schedule.halve -->\n"
    text = (build_site({"index.md": page}) / "index.html").read_text()
    for shown in ("src/omokage/noise.py, line 3", "src/omokage/noise.py, line 9", "&lt;", "halve", "self"):
        assert shown in text
    assert "function:" not in text and "Schedule" not in text


def test_a_comment_shows_the_reference_of_a_module(build_site: BuildSite, tmp_path: Path) -> None:
    build_site({})
    comment = hooks.TOKENS.fullmatch("<!-- module: omokage.noise (add, Schedule) -->")
    assert comment and comment["members"] == "add, Schedule"
    rendered = hooks.render_object(tmp_path, comment["kind"], comment["name"], comment["members"])
    assert rendered == "::: omokage.noise\n    options:\n      members: ['add', 'Schedule']\n"
    assert "members: null" in hooks.render_object(tmp_path, "module", "omokage.noise", None)


def test_equations_become_mathml(build_site: BuildSite) -> None:
    page = "The noise $\\sigma_t < 1$ grows:\n\n$$\nx_t = \\frac{a}{b}\n$$\n\n| a | b |\n|---|---|\n| $x^2$ | 3 |\n"
    text = (build_site({"index.md": page}) / "index.html").read_text()
    inline, block, cell = re.findall(r"<math.*?</math>", text, flags=re.DOTALL)
    assert (
        'display="inline"' in inline and "<msub><mi>&#x003C3;</mi><mi>t</mi></msub>" in inline and "&#x0003C;" in inline
    )
    assert 'display="block"' in block and "<mfrac>" in block
    assert "<msup>" in cell and "$" not in text


def test_code_stays_as_it_is(build_site: BuildSite) -> None:
    page = (
        "Costs $5 and `$x$`, ``[a](../none)``, `<!-- function: omokage.none -->`.\n\n"
        "```sh\necho $a$ [b](../none)\n<!-- function: omokage.none -->\n```\n\n"
        "- item\n\n    ~~~\n    $$y$$\n    ~~~\n"
    )
    text = (build_site({"index.md": page}) / "index.html").read_text()
    assert "<math" not in text and "files/" not in text
    plain = re.sub("<.*?>", "", text)  # without the elements that colour the code
    for code in (
        "Costs $5",
        "$x$",
        "[a](../none)",
        "$a$ [b](../none)",
        "&lt;!-- function: omokage.none --&gt;",
        "$$y$$",
    ):
        assert code in plain


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("[a](../../none.txt)", "../../none.txt: there is no none.txt in the repository"),
        ("[a]: ../../none.txt", "../../none.txt: there is no none.txt in the repository"),
        ("[a](none.md#b)", "none.md#b: there is no docs/guides/none.md in the repository"),
        ("![a](../../../secret.png)", "../../../secret.png: there is no ../secret.png in the repository"),
        ("[a](../../model.bin)", "../../model.bin: model.bin is neither text nor .gif, .html, .jpg, .png, .svg"),
        ("<!-- function: omokage.noise.none -->", "function omokage.noise.none: there is no none below src/"),
        ("<!-- module: omokage.none -->", "module omokage.none: there is no none below src/"),
        ("<!-- module: omokage.noise (none) -->", "module omokage.noise: there is no none below src/"),
        ("Broken: $\\frac{a}$", "the equation \\frac{a} is broken: mfrac has 1 parts, expected 2"),
        ("Broken: $a_$", "the equation a_ is broken: MissingSuperScriptOrSubscriptError"),
        ("Broken: $\\sigmma$", "the equation \\sigmma is broken: unknown command \\sigmma"),
    ],
)
def test_a_fault_fails_the_build_with_a_line_that_names_page_and_line(
    build_site: BuildSite, caplog: pytest.LogCaptureFixture, line: str, fault: str
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(Abort, match="1 warnings in strict mode"):
        build_site({"guides/data.md": f"---\ntitle: A\n---\n\n# Data\n\n`{line}`\n\n{line}\n"})
    (message,) = [record.getMessage() for record in caplog.records if record.name == "mkdocs.hooks"]
    assert message == f"docs/guides/data.md:9: {fault}"


def test_a_dead_anchor_fails_the_build(build_site: BuildSite) -> None:
    with pytest.raises(Abort, match="1 warnings in strict mode"):
        build_site({"index.md": "[a](guides/data.md#none)\n"})
