"""The report's files: all text is escaped, nothing is loaded from outside, and the bytes are reproducible."""

import base64
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML
from support.clone import PYTHON_PATH, ROOT
from support.fixtures import UPSTREAM_STAGES
from support.html_parsers import Elements, ParamsFile
from support.report_fixtures import EXAMPLE_SVG, TINY_RUN, UNTRUSTED_TEXT, write_report_inputs

from omokage.base.job import Job
from omokage.params.report import Params
from omokage.report.assessment import judge_run
from omokage.report.captions import CAPTIONS
from omokage.report.embedded_figure import EmbeddedFigure
from omokage.report.escaping import escape_markdown, sanitise_url
from omokage.report.parameters import CHANGED, UNCHANGED
from omokage.report.sprite_sheet import MAX_BYTES, SpriteSheet
from omokage.stages import report
from omokage.stamps.stamp import read_stamp, render_stamp


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job[Params]:
    """The job of a report that has been written."""
    job = write_report_inputs(tmp_path_factory.mktemp("report"))
    report.run(job)
    return job


def decode_data_uri(uri: str) -> bytes:
    return base64.b64decode(uri.partition("base64,")[2])


def test_the_html_is_one_file_and_escapes_all_text(job: Job[Params]) -> None:
    html = job.output("results/report.html").read_text()
    page = Elements(html)
    # The sprite sheet replaces the GIF and the denoising figure, and the dialog has an image of its own. The figure
    # study is left out, since the run has no sampler_study.
    assert page.tags.count("img") == len(CAPTIONS) - 3 + 2 - 1
    assert page.tags.count("script") == 2
    anchors = {f"#{anchor}" for anchor in re.findall(r'<h2 id="([a-z-]+)">', html)}
    assert {f"#{heading.lower().replace(' ', '-')}" for heading in judge_run(TINY_RUN)} < anchors
    assert {address for address in page.addresses if not address.startswith("data:")} == {
        "https://a.org/%28x%29",
        *anchors,
    }
    assert "default-src 'none'; img-src data:" in html
    assert "url(" not in html and "@import" not in html and "javascript:" not in html
    assert "prefers-color-scheme: dark" in html
    text = " ".join(unescape(html).split())
    assert "20 steps, each with one evaluation of the network and, where the autoguidance applies, one of" in text
    assert "errors of 1.5 to 4.25 (of 255)" in text and "Their scores were not compared in this run" in text


def test_the_report_gives_the_time_of_its_own_training_and_without_all_stages_no_sum(job: Job[Params]) -> None:
    for suffix in ("html", "md"):
        text = job.output(f"results/report.{suffix}").read_text()
        assert "The training took 5 min 21 s on cpu." in text and "All stages before" not in text


def test_markdown_links_the_figures_next_to_it_and_escapes_all_text(job: Job[Params]) -> None:
    path = job.output("results/report.md")
    markdown = path.read_text()
    figures = re.findall(r"!\[(?:[^\]\\]|\\.)*\]\(([^)]*)\)", markdown)
    assert len(figures) == len(CAPTIONS) - 2 and all((path.parent / figure).is_file() for figure in figures)
    assert "<script" not in markdown and "javascript:" not in markdown
    assert "| schedule | cosine | train |" in markdown and "| lr | 0.001 | 0.006 | train |" in markdown
    assert "| precision | 0.85 |  | 0.9 |" in markdown
    assert "The comments in `params.yaml` explain every parameter." in markdown


def test_the_contact_sheet_is_shown_only_if_it_has_crops(job: Job[Params], tmp_path: Path) -> None:
    assert "](figures/contact.png)" not in job.output("results/report.md").read_text()
    cropped = write_report_inputs(tmp_path, run=replace(TINY_RUN, faces={**TINY_RUN.faces, "detected": 5}))
    report.run(cropped)
    assert "](figures/contact.png)" in cropped.output("results/report.md").read_text()


def test_html_and_markdown_have_the_same_headings(job: Job[Params]) -> None:
    html, markdown = (path.read_text() for path in job.outputs.values())
    headings = re.findall(r'<h2 id="[a-z-]+">(.*)</h2>', html)
    assert headings == re.findall(r"^## (.*)$", markdown, flags=re.MULTILINE)
    assert len(headings) == html.count("<h2")


def test_html_and_markdown_have_the_same_paragraphs(job: Job[Params]) -> None:
    html, markdown = (unescape(path.read_text()) for path in job.outputs.values())
    written = " ".join(re.sub(r"[\\`]", "", markdown).split())
    paragraphs = re.findall(r"<p(?: class=\"[a-z]+\")?>(.*?)</p>", html, flags=re.DOTALL)
    texts = [" ".join(re.sub(r"</?(?:code|a)[^>]*>", "", paragraph).split()) for paragraph in paragraphs]
    assert len(texts) > 20
    assert [text for text in texts if text not in written] == []


def test_parameters_that_differ_from_their_default_come_first_with_the_default(job: Job[Params]) -> None:
    markdown = job.output("results/report.md").read_text()
    first, second = (markdown.partition(f"**{caption}**")[2].split("\n\n")[1] for caption in (CHANGED, UNCHANGED))
    assert markdown.index(CHANGED) < markdown.index(UNCHANGED)
    assert "| sampler | ddim | ddpm | sample |" in first and "| prediction | v | train |" in second
    names = [line.split(" | ")[0] for table in (first, second) for line in table.splitlines()[2:]]
    assert len(names) == len({*names}) > 10
    # A parameter of several stages has one row.
    assert "| extractor\\_weights, reference, evaluate |" in first


def test_the_committed_report_can_be_sent_by_mail() -> None:
    assert 100_000 < (ROOT / "results" / "report.html").stat().st_size < 2_000_000


def test_every_table_has_equal_rows_in_markdown(job: Job[Params]) -> None:
    blocks = job.output("results/report.md").read_text().split("\n\n")
    tables = [block.splitlines() for block in blocks if block.startswith("| ")]
    assert len(tables) == 14
    for head, rule, *rows in tables:
        assert set(rule) == {"|", "-"}
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in (head, rule, *rows)} == {head.count("|")}


def test_the_html_contains_the_params_file_of_the_run(job: Job[Params]) -> None:
    text = ParamsFile(job.output("results/report.html").read_text()).text
    params = YAML(typ="safe", pure=True).load(io.StringIO(text))
    assert params["lr"] == 1e-3 and params["sampler"] == "ddim"
    assert params["report_title"] == f"Title {UNTRUSTED_TEXT}"
    assert "folder" not in params


def test_html_and_markdown_carry_the_same_stamp(job: Job[Params]) -> None:
    html, markdown = (read_stamp(path) for path in job.outputs.values())
    assert html == markdown
    assert set(html["runs"]) == {*UPSTREAM_STAGES, "figures"}
    assert html["runs"]["train"]["params"]["lr"] == 1e-3
    assert html["deps"]["results/figures/loss.png"] == html["runs"]["figures"]["outs"]["results/figures/loss.png"]


def test_the_path_of_the_users_images_is_not_published(job: Job[Params]) -> None:
    assert all("secret" not in path.read_text() for path in job.outputs.values())


def test_two_processes_write_the_same_bytes(job: Job[Params], tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from omokage.stages import report; "
        "from support.report_fixtures import write_report_inputs; report.run(write_report_inputs(Path(sys.argv[1])))"
    )
    environment = {
        "PYTHONPATH": PYTHON_PATH,
        "HOME": os.environ["HOME"],
        "PYTHONHASHSEED": "7",
    }
    command = [sys.executable, "-c", program, str(tmp_path / "run")]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    for path, location in job.outputs.items():
        assert (tmp_path / "run" / path).read_bytes() == location.read_bytes()


@pytest.mark.parametrize(("side", "faces"), [(16, 8), (32, 8), (64, 4), (128, 1)])
def test_a_sprite_sheet_of_larger_faces_has_fewer_of_them(side: int, faces: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (11, 8, 3, side, side), np.uint8)
    log_snr = np.array([*range(-5, 5), np.inf])
    frames = {"t": np.arange(-1, 10)[::-1], "log_snr": log_snr, "x_t": noise, "x0": np.full_like(noise, 99)}
    sheet = SpriteSheet.pack(frames)
    assert sheet.faces == faces and sheet.timesteps[0] == "9" and sheet.timesteps[-1] == "clean"
    assert sheet.labels[0] == "t = 9, log-SNR −5.0" and sheet.labels[-1] == "clean image"
    assert len(sheet.data_uri) < 1.4 * MAX_BYTES


def test_a_sprite_sheet_has_a_column_per_frame_and_two_rows_per_face() -> None:
    x_t = np.zeros((3, 2, 3, 16, 16), np.uint8)
    for frame, face in np.ndindex(3, 2):
        x_t[frame, face] = 20 * frame + 100 * face
    levels = {"t": np.array([9, 4, -1]), "log_snr": np.array([-np.inf, 1, np.inf])}
    sheet = SpriteSheet.pack({**levels, "x_t": x_t, "x0": x_t + 10})
    with Image.open(io.BytesIO(decode_data_uri(sheet.data_uri))) as image:
        centres = np.asarray(image.convert("L"))[8::16, 8::16].astype(int)
    expected = [[0, 20, 40], [10, 30, 50], [100, 120, 140], [110, 130, 150]]
    assert np.abs(centres - expected).max() <= 2
    assert (sheet.timesteps, sheet.faces, sheet.side) == (["9", "4", "clean"], 2, 16)


def test_a_plot_is_embedded_as_svg_unless_that_is_much_larger(tmp_path: Path) -> None:
    png, svg = tmp_path / "x.png", tmp_path / "x.svg"
    Image.effect_noise((40, 40), 90).save(png)
    svg.write_text(EXAMPLE_SVG.replace("<path", f"<metadata>{'a stamp ' * 9000}</metadata>\n<path"))
    assert decode_data_uri(EmbeddedFigure("x", "x", png, svg).data_uri) == EXAMPLE_SVG.encode()
    svg.write_text(EXAMPLE_SVG + " " * 40_000)
    assert EmbeddedFigure("x", "x", png, svg).data_uri.startswith("data:image/webp")


def test_no_text_can_close_the_element_of_the_stamp() -> None:
    stamp = {"title": "--> </script> <!--"}
    assert json.loads(render_stamp(stamp)) == stamp
    assert "--" not in render_stamp(stamp) and "<" not in render_stamp(stamp)


def test_markdown_is_escaped_and_only_web_addresses_become_links() -> None:
    assert escape_markdown("a_b <i>|*x*\n# y") == r"a\_b &lt;i&gt;\|\*x\* \# y"
    assert sanitise_url("javascript:alert(1)") == "" and sanitise_url(None) == ""
    assert sanitise_url("https://a.org/b c") == "https://a.org/b%20c"
