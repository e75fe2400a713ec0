"""Parameters of `extractor_weights`: the network whose weights are fetched."""

from omokage.params.extractor import ExtractorParams


class Params(ExtractorParams):
    pass
