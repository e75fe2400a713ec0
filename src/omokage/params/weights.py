"""Parameters of `weights`: whose weights are brought."""

from omokage.params.extractor import ExtractorParams


class Params(ExtractorParams):
    pass
