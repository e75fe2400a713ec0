"""Render the report from its templates, as HTML and as Markdown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from omokage.report import tables
from omokage.report.assessment import judge_run, summarise_run
from omokage.report.captions import CAPTIONS
from omokage.report.embedded_figure import EmbeddedFigure
from omokage.report.escaping import escape_markdown, sanitise_url
from omokage.report.run import Run
from omokage.report.sprite_sheet import SpriteSheet
from omokage.report.tables import Table
from omokage.report.verdict import Verdict
from omokage.report.wording import format_count, format_number
from omokage.stamps.records import Record, publish


@dataclass(frozen=True)
class Section:
    """A section of the report: a verdict, and the figures and tables that support it."""

    heading: str
    verdict: Verdict
    figures: list[EmbeddedFigure]
    tables: list[Table]

    @property
    def anchor(self) -> str:
        """The id of the heading in HTML, equal to the id that Markdown viewers derive from the heading."""
        return self.heading.lower().replace(" ", "-")


@dataclass(frozen=True)
class Page:
    """The content of the report.

    `figures` are by name. `records` are the run records of the earlier stages (see stamps/records.py), `report_params`
    the parameters of the stage `report`, and `manifest` the content of data/manifest.json. `stamp` is the JSON text
    that identifies the run (see stamps/stamp.py).
    """

    title: str
    run: Run
    figures: Mapping[str, EmbeddedFigure]
    sprite_sheet: SpriteSheet
    records: Sequence[Record]
    report_params: Mapping[str, Any]
    manifest: Mapping[str, Any]
    stamp: str

    def render_html(self) -> str:
        """Return the report as HTML that loads no other file."""
        return self._render("report.html.j2", autoescape=True)

    def render_markdown(self) -> str:
        """Return the report as Markdown, which loads the figures by relative paths."""
        return self._render("report.md.j2", autoescape=False)

    def list_figures(self, section: str, excluded: Sequence[str] = ()) -> list[EmbeddedFigure]:
        """Return the figures of a section, without `excluded`, and without those that the run's parameters turn off."""
        off = [name for name, rows in (("progress", self.run.progress), ("study", self.run.study)) if not rows]
        return [
            self.figures[name]
            for name, caption in CAPTIONS.items()
            if caption.section == section and name not in (*excluded, *off)
        ]

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
        environment.filters |= {"md": escape_markdown, "url": sanitise_url}
        return environment.get_template(template).render(
            page=self,
            summary=summarise_run(self.run),
            sections=self._list_sections(),
            parameters=tables.tabulate_parameters(self.records, self.report_params),
            machines=tables.tabulate_machines(self.records),
            params_file=self._format_params_file(),
            data_set=self._name_data_set(),
            counts=self.run.faces,
            licences=self.manifest["licences"],
            sampling=self._describe_sampling(),
        )

    def _list_sections(self) -> list[Section]:
        """Return one section per verdict.

        Leaves out empty tables.
        """
        run = self.run
        contents = {
            "Sample quality": [tables.tabulate_scores(run)],
            "Style": [tables.tabulate_style(run)],
            "Problems": [tables.tabulate_dropped(run)],
        }
        for caption, rows in (
            ("Scores during training", run.progress),
            ("Scores by sampler and EMA weights", run.study),
        ):
            if rows:
                contents["Sample quality"].append(tables.tabulate_scores_csv(caption, rows))
        return [
            Section(
                heading,
                verdict,
                self.list_figures(heading),
                [table for table in contents.get(heading, []) if table.rows],
            )
            for heading, verdict in judge_run(run).items()
        ]

    def _name_data_set(self) -> str:
        name, version = self.manifest["name"], self.manifest["version"]
        return f"{name}, version {version}" if version else name

    def _describe_sampling(self) -> str:
        """Return the sampler, the network evaluations per image and the guidance scale, in words."""
        params = next(record["params"] for record in self.records if record["stage"] == "sample")
        text = f"{params['sampler']}, {format_count(params['sample_steps'], 'network evaluation')} per image"
        if params["guidance_scale"] > 1:
            text += f", autoguidance scale {format_number(params['guidance_scale'])}"
        return text

    def _format_params_file(self) -> str:
        """Return the run's parameters in the format of params.yaml, without the path of the user's own images.

        Values are written as JSON, which is valid YAML, so no value can break the syntax.
        """
        params: dict[str, Any] = {}
        for record in self.records:
            params |= publish(record)["params"]
        params |= self.report_params
        return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in params.items())
