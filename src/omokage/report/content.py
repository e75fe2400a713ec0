"""The content of the report: sections of blocks, which the templates write as HTML and as Markdown.

A sentence of the report is written once, in the Python code that builds a section. The templates hold no sentences.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from omokage.report.embedded_figure import EmbeddedFigure
from omokage.report.sprite_sheet import SpriteSheet
from omokage.report.tables import Table


@dataclass(frozen=True)
class Code:
    """Code within a sentence, such as the name of a file or a parameter."""

    text: str


@dataclass(frozen=True)
class Link:
    """A link within a sentence. Only an http or https address becomes a link; otherwise the text is shown alone."""

    text: str
    address: str


# A piece of a sentence. A string is plain text, never markup.
Inline = str | Code | Link


@dataclass(frozen=True)
class Paragraph:
    """A paragraph with code or links. A paragraph of plain text is a `str`."""

    parts: Sequence[Inline]


@dataclass(frozen=True)
class BulletList:
    """A list with bullets, such as a list of links; each item is a sequence of pieces."""

    items: Sequence[Sequence[Inline]]


@dataclass(frozen=True)
class CodeBlock:
    """Lines of code: shell commands or a file.

    `title` says what the lines are, for screen readers. `language` is that of Markdown's code fences. With `folded`,
    the HTML page shows the lines on request only, and Markdown leaves them out.
    """

    title: str
    text: str
    language: str = ""
    folded: bool = False


@dataclass(frozen=True)
class DenoisingPlayer:
    """The animation of the denoising. Markdown shows `stills` instead, since it cannot play a sprite sheet."""

    sheet: SpriteSheet
    caption: str
    alt: str
    stills: Sequence[EmbeddedFigure]


Block = str | Paragraph | BulletList | CodeBlock | Table | EmbeddedFigure | DenoisingPlayer


@dataclass(frozen=True)
class Section:
    """A section of the report.

    `verdict` is the assessment in a few words, below the heading (None: a section that assesses nothing). With
    `folded`, the HTML page shows the blocks on request only; printed, all sections are open.
    """

    heading: str
    blocks: Sequence[Block]
    verdict: str | None = None
    folded: bool = False

    @property
    def anchor(self) -> str:
        """The id of the heading in HTML, equal to the id that Markdown viewers derive from the heading."""
        return self.heading.lower().replace(" ", "-")
