"""The report as a page: what its templates are handed, and how they are filled."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from omokage.provenance import Record, public
from omokage.report import tables
from omokage.report.chapters import chapters, summary
from omokage.report.film import Film
from omokage.report.pictures import Picture
from omokage.report.run import Run
from omokage.report.tables import Table
from omokage.report.verdict import Verdict
from omokage.report.words import count, number

# What each figure shows, for those who see it and for those who cannot.
CAPTIONS = {
    "samples": (
        "Pictures drawn by the model (left) and real faces held out from training (right). The first ones there are, "
        "in order: nobody chose them."
    ),
    "loss": (
        "Loss (mean squared error of whitened pictures, no unit, logarithmic) on faces trained on and held out, over "
        "the steps, with the learning rate below."
    ),
    "noise_levels": (
        "Squared error by noise level (log signal-to-noise ratio in nats; noise left, clean pictures right). "
        "The shaded gap is overfitting."
    ),
    "scores": (
        "The scores of the samples (no unit) beside what real faces score; lines through the bars are intervals of "
        "95\u00a0%."
    ),
    "progress": "The score over the training, of few pictures each time: to be compared only with one another.",
    "study": "Samplers and weights against each other, by the evaluations of the network that a picture takes.",
    "neighbours": (
        "The samples that are nearest to a face trained on, beside it and the nearest face held out. A copy would look "
        "like the former."
    ),
    "animation": "A few pictures losing their noise; the last frame is held.",
    "denoising": "The same in still frames: what the sampler holds at step t, and the clean picture it expects.",
    "transformed": (
        "Held-out faces, noised more and more and cleaned again: little noise keeps the person, much makes another. "
        "Below, their way to noise and back by DDIM, with the error."
    ),
    "between": "From one starting noise to another along an arc, and what the model draws on the way.",
    "schedule": (
        "The schedule over the steps: share of the picture's variance that is left, and log signal-to-noise ratio "
        "in nats; the other schedules faint."
    ),
    "data_card": (
        "What the data are: what became of every face, how large the pictures are, how faces to train on and held out "
        "are coloured, and some of those dropped, with the reason."
    ),
    "contact": "Some pictures, and the squares that were cut out of them.",
    "noising": "Held-out faces at some steps t of the schedule, with the log signal-to-noise ratio in nats below.",
}


@dataclass(frozen=True)
class Chapter:
    """A verdict with its figures and tables."""

    heading: str
    verdict: Verdict
    pictures: list[Picture]
    tables: list[Table]


@dataclass(frozen=True)
class Page:
    """All that the templates show."""

    title: str
    run: Run
    pictures: Mapping[str, Picture]
    film: Film
    records: Sequence[Record]
    own_params: Mapping[str, Any]
    manifest: Mapping[str, Any]
    stamp: str

    def html(self) -> str:
        """Return one self-contained HTML file."""
        return self._fill("report.html.j2", autoescape=True)

    def markdown(self) -> str:
        """Return Markdown that shows the figures by relative paths."""
        return self._fill("report.md.j2", autoescape=False)

    def _fill(self, template: str, autoescape: bool) -> str:
        # Markdown is escaped by its own filter, since what HTML's would leave can still be Markdown.
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=autoescape,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters |= {"md": markdown_text, "web": web_address}
        return environment.get_template(template).render(
            page=self,
            summary=summary(self.run),
            chapters=self.chapters(),
            parameters=tables.parameters(self.records, self.own_params),
            machines=tables.machines(self.records),
            params_file=self.params_file(),
            licences=self.manifest["licences"],
            sampling=self.sampling(),
        )

    def chapters(self) -> list[Chapter]:
        """Return the verdicts, each with what it rests on; what was not asked for is left out."""
        run, show = self.run, self.pictures
        pictures = {
            "Quality": [show["scores"]],
            "Copies": [show["neighbours"]],
            "Performance": [show["loss"], show["noise_levels"]],
        }
        shown = {"Quality": [tables.scores(run)], "Style": [tables.styles(run)], "Difficulties": [tables.dropped(run)]}
        for name, caption, rows in (
            ("progress", "Scores over the training", run.progress),
            ("study", "Scores of samplers and weights", run.study),
        ):
            if rows:
                pictures["Quality"].append(show[name])
                shown["Quality"].append(tables.measured(caption, rows))
        return [
            Chapter(
                heading,
                verdict,
                pictures.get(heading, []),
                [table for table in shown.get(heading, []) if table.rows],
            )
            for heading, verdict in chapters(run).items()
        ]

    def sampling(self) -> str:
        """Return in words how the samples were drawn."""
        params = next(run["params"] for run in self.records if run["stage"] == "sample")
        words = f"{params['sampler']} in {count(params['sample_steps'], 'evaluation')} of the network a picture"
        if params["guidance"] > 1:
            words += f", led {number(params['guidance'])} times as far from what it said earlier in its training"
        return words

    def params_file(self) -> str:
        """Return the run's parameters as params.yaml has them, without where the user's pictures lie.

        JSON is YAML too, and no value can break out of it.
        """
        together: dict[str, Any] = {}
        for run in self.records:
            together |= public(run)["params"]
        together |= self.own_params
        return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in together.items())


def markdown_text(words: object) -> str:
    """Return text in which nothing is Markdown or HTML."""
    one_line = " ".join(str(words).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", one_line)


def web_address(url: object) -> str:
    """Return a link's address if it leads to the web, else nothing, so that no link can run a script."""
    address = str(url or "")
    return quote(address, safe=":/?#@!$&*+,;=%~-._") if re.match(r"https?://", address) else ""
