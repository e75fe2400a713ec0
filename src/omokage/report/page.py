"""The report as a page: what its templates are handed, and how they are filled."""

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from omokage.provenance import Record, public
from omokage.report.verdict import Run, Verdict, difficulties, performance, quality, summary
from omokage.report.words import count, number

# What each figure shows, for those who see it and for those who cannot.
CAPTIONS = {
    "samples": (
        "Pictures drawn by the model (left) and real faces held out from training (right). The first ones there are, "
        "in order: nobody chose them."
    ),
    "loss": (
        "Training loss (mean squared error of whitened pictures, no unit, logarithmic) over the steps, with the "
        "learning rate below."
    ),
    "noise_levels": (
        "Squared error by noise level (log signal-to-noise ratio in nats; noise left, clean pictures right). "
        "The shaded gap is overfitting."
    ),
    "scores": (
        "Distance and KID of the samples (no unit, lower is better) beside their floors: the same measure between two "
        "sets of real faces."
    ),
    "animation": "A few pictures losing their noise; the last frame is held.",
    "denoising": ("The same in still frames: what the sampler holds at step t, and the clean picture it expects."),
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
# Most sheets of faces weigh far more as PNG; lines and letters of the plots would suffer as WebP.
SHEETS = ("contact", "data_card", "denoising", "noising", "samples")


@dataclass(frozen=True)
class Picture:
    """A figure: where it lies beside the report, its caption, its size in pixels, and itself as a data URI."""

    path: str
    caption: str
    width: int
    height: int
    data: str

    @classmethod
    def load(cls, name: str, file: Path, suffix: str) -> "Picture":
        """Read the figure `name` (a key of CAPTIONS), which lies at `file`."""
        with Image.open(file) as image:
            width, height = image.size
            content, kind = file.read_bytes(), suffix.removeprefix(".")
            if name in SHEETS:
                webp = io.BytesIO()
                image.convert("RGB").save(webp, "WEBP", quality=88, method=6)
                if len(webp.getvalue()) < len(content):
                    content, kind = webp.getvalue(), "webp"
        data = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
        stem = "denoising" if name == "animation" else name
        return cls(f"figures/{stem}{suffix}", CAPTIONS[name], width, height, data)


@dataclass(frozen=True)
class Page:
    """All that the templates show."""

    title: str
    run: Run
    pictures: Mapping[str, Picture]
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
            verdicts=self.verdicts(),
            settings=self.settings(),
            machine=self.machine(),
            licences=self.manifest["licences"],
            sampling=self.sampling(),
        )

    def verdicts(self) -> list[tuple[str, Verdict, list[Picture]]]:
        """Return the sections of the discussion: heading, verdict, figures."""
        show = self.pictures
        return [
            ("Performance", performance(self.run), [show["loss"], show["noise_levels"]]),
            ("Quality", quality(self.run), [show["scores"]]),
            ("Difficulties", difficulties(self.run), []),
        ]

    def sampling(self) -> str:
        """Return in words how the samples were drawn."""
        params = next(run["params"] for run in self.records if run["stage"] == "sample")
        words = f"{params['sampler']} in {count(params['sample_steps'], 'evaluation')} of the network a picture"
        if params["guidance"] > 1:
            words += f", led {number(params['guidance'])} times as far from what it said earlier in its training"
        return words

    def settings(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return every stage with its parameters as its record has them."""
        stages = [(run["stage"], public(run)["params"]) for run in self.records] + [("report", dict(self.own_params))]
        return [(stage, [(key, _value(value)) for key, value in params.items()]) for stage, params in stages if params]

    def machine(self) -> list[tuple[str, str]]:
        """Return where and how the stages that compute on a device ran."""
        rows = []
        for run in self.records:
            facts = run["facts"]
            if "device" in facts:
                words = [facts["device"], f"{run['threads']} CPU threads", facts.get("precision", "")]
                if "parameters" in facts:
                    words.append(f"{facts['parameters']:,} weights")
                rows.append((run["stage"], ", ".join(word for word in words if word)))
        return rows


def markdown_text(words: object) -> str:
    """Return text in which nothing is Markdown or HTML."""
    one_line = " ".join(str(words).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", one_line)


def web_address(url: object) -> str:
    """Return a link's address if it leads to the web, else nothing, so that no link can run a script."""
    address = str(url or "")
    return quote(address, safe=":/?#@!$&*+,;=%~-._") if re.match(r"https?://", address) else ""


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
