"""Put the report's sections in order, and render them from the templates, as HTML and as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from omokage.report.assessment import judge_run, summarise_run
from omokage.report.captions import CAPTIONS
from omokage.report.content import Block, DenoisingPlayer, Section
from omokage.report.data_section import describe_data
from omokage.report.embedded_figure import EmbeddedFigure
from omokage.report.escaping import escape_markdown, format_code_span, sanitise_url
from omokage.report.evidence import Evidence
from omokage.report.model_section import describe_model, summarise_model
from omokage.report.run import Run
from omokage.report.run_section import describe_run
from omokage.report.sections import (
    describe_denoising,
    describe_editing,
    describe_forward_process,
    describe_reproduction,
    list_parameters,
)
from omokage.report.settings import merge_params
from omokage.report.solved_problems import tabulate_solved_problems
from omokage.report.sprite_sheet import SpriteSheet
from omokage.report.study_section import describe_study
from omokage.report.tables import Table, tabulate_scores, tabulate_scores_csv, tabulate_style
from omokage.report.training_settings import tabulate_training
from omokage.stamps.records import Record, find_record

ORIGIN = (
    "The numbers in this report, and the words that assess them, are computed from this one run. The hyperparameter "
    "study, the table of earlier problems, and some reasons and causes quote other runs of the project, and say so."
)
# The figures of the denoising that the player on the HTML page replaces.
PLAYER_STILLS = ("animation", "denoising")


@dataclass(frozen=True)
class Page:
    """The content of the report.

    `figures` are by name. `records` are the run records of the earlier stages (see stamps/records.py), `report_params`
    the parameters of the stage `report`, and `manifest` the content of data/manifest.json. `evidence` is what the
    alternative texts are written from. `stamp` is the JSON text that identifies the run (see stamps/stamp.py).
    """

    title: str
    run: Run
    figures: Mapping[str, EmbeddedFigure]
    sprite_sheet: SpriteSheet
    records: Sequence[Record]
    report_params: Mapping[str, Any]
    manifest: Mapping[str, Any]
    evidence: Evidence
    stamp: str

    def render_html(self) -> str:
        """Return the report as HTML that loads no other file."""
        return self._render("report.html.j2", autoescape=True)

    def render_markdown(self) -> str:
        """Return the report as Markdown, which loads the figures by relative paths."""
        return self._render("report.md.j2", autoescape=False)

    def list_sections(self) -> list[Section]:
        """Return the sections in their order on the page."""
        run, verdicts = self.run, judge_run(self.run)

        def assess(heading: str, *tables: Table) -> Section:
            verdict = verdicts[heading]
            return self._build(heading, [*verdict.paragraphs, *tables], verdict.short)

        scores = [
            tabulate_scores(run),
            *(
                tabulate_scores_csv(caption, rows)
                for caption, rows in (
                    ("Scores during training", run.progress),
                    ("Scores by sampler and EMA weights", self._list_samplers()),
                )
                if rows
            ),
        ]
        return [
            self._build(*describe_data(run, self.records, self.manifest)),
            self._build(*describe_forward_process(self.evidence)),
            self._build(*describe_model(self.records)),
            assess("Training", self._tabulate_training()),
            self._build(*describe_study(run, self.records)),
            self._build(*describe_denoising(run, self.records, self._make_player())),
            assess("Sample quality", *scores),
            assess("Style", tabulate_style(run)),
            assess("Memorisation"),
            self._build(*describe_editing(self.evidence)),
            assess("Challenges", tabulate_solved_problems()),
            self._build(*describe_run(run, self.records)),
            self._build(*list_parameters(self.records, self.report_params), folded=True),
            self._build(*describe_reproduction(self.records, self.report_params)),
        ]

    def _list_samplers(self) -> list[dict[str, str]]:
        """Return the rows of study.csv after a row for the samples of this run, or no row if there is no study."""
        run, params = self.run, find_record(self.records, "sample")["params"]
        own = {"weights": params["ema_kind"], "sampler": params["sampler"], "evaluations": params["sample_steps"]}
        scores = {key: run.metrics[key] for key in ("distance", "kid", "n")}
        return [{key: str(value) for key, value in {**own, **scores}.items()}, *run.study] if run.study else []

    def _build(
        self, heading: str, blocks: Sequence[Block], verdict: str | None = None, folded: bool = False
    ) -> Section:
        """Return a section of `blocks`, followed by those figures of the section that are not among them.

        A string that is the name of a figure stands for the figure. Empty tables are left out, and figures that would
        show that nothing was measured.
        """
        # The contact sheet is for looking at crops.
        measured = {"progress": self.run.progress, "study": self.run.study, "contact": self.run.faces["detected"]}
        own = [
            name
            for name, caption in CAPTIONS.items()
            if caption.section == heading and name not in (*blocks, *PLAYER_STILLS) and measured.get(name, True)
        ]
        resolved = (
            self.figures[block] if isinstance(block, str) and block in CAPTIONS else block for block in (*blocks, *own)
        )
        shown = [block for block in resolved if not (isinstance(block, Table) and not block.rows)]
        return Section(heading, shown, verdict, folded)

    def _tabulate_training(self) -> Table:
        facts = find_record(self.records, "train")["facts"]
        return tabulate_training(merge_params(self.records), facts, self.run.faces["train"])

    def _summarise(self) -> str:
        """Return a paragraph on what was trained, and how good it is."""
        model = summarise_model(self.records, self.manifest, self.run.faces, self.run.duration)
        return f"{model} {summarise_run(self.run)}"

    def _make_player(self) -> DenoisingPlayer:
        return DenoisingPlayer(
            self.sprite_sheet,
            "Top: the noisy image at timestep t, from pure noise to the clean image. Bottom: the clean image that the "
            "network predicts from it.",
            f"{self.figures['denoising'].alt} The animation has {len(self.sprite_sheet.timesteps)} frames.",
            [self.figures[name] for name in PLAYER_STILLS],
        )

    def _render(self, template: str, autoescape: bool) -> str:
        # HTML escaping does not escape Markdown syntax, so the Markdown template uses the filter `md`.
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=autoescape,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        filters: dict[str, Any] = {
            "md": escape_markdown,
            "md_code": format_code_span,
            "url": sanitise_url,
            "kind": lambda value: type(value).__name__,
            "group_figures": group_figures,
        }
        environment.filters |= filters
        return environment.get_template(template).render(
            title=self.title,
            summary=[self._summarise(), ORIGIN],
            samples=[self.figures[name] for name, caption in CAPTIONS.items() if caption.section == "Samples"],
            sections=self.list_sections(),
            stamp=self.stamp,
        )


def group_figures(blocks: Sequence[Block]) -> list[Block | list[EmbeddedFigure]]:
    """Return the blocks, with every two or more adjacent figures that are not wide as a list: they share a row."""
    groups: list[Block | list[EmbeddedFigure]] = []
    for is_narrow, group in groupby(blocks, lambda block: isinstance(block, EmbeddedFigure) and not block.is_wide):
        adjacent = list(group)
        figures = [block for block in adjacent if isinstance(block, EmbeddedFigure)]
        groups += [figures] if is_narrow and len(figures) > 1 else adjacent
    return groups
