"""Tabulate the problems that the project met and reduced before this run, as docs/ablation.md measured them."""

from omokage.report.tables import Cell, Table

CAPTION = "Problems met and reduced while the project was developed (docs/ablation.md; other runs than this one)"
# The problem, its cause, what was changed, and the Fréchet distance before and after.
PROBLEMS = (
    (
        "grainy samples",
        "slow optimisation: the network had not learned low noise",
        "Muon instead of AdamW for the inner convolutions",
        "243.9 to 186.6 after 36,000 images of real faces (floor 39.1)",
    ),
    (
        "grain at the edges of patches",
        "the last layer did not see neighbouring patches",
        "pixel shuffle in the decoder, and then a residual block at full resolution after the patches",
        "145.6 to 119.2, and then 110.6 (concatenated) or 121.3 (added), after 22,000 to 29,000 images of avatars "
        "(floor 14.4)",
    ),
    (
        "grain with the block at full resolution",
        "a noise schedule made for 64 pixels, at 32 pixels",
        "log_snr_shift: 1.4 instead of 0",
        "121.3 to 76.8 after 22,000 and 26,000 images of avatars (floor 14.4)",
    ),
    (
        "weak shapes after a short training",
        "both ends of the schedule dominated the loss",
        "loss_weighting: min_snr",
        "178.1 to 145.4 on real faces (floor 39.1)",
    ),
    (
        "all backgrounds near the mean colour",
        "the first step from pure noise was too long, and high noise had nearly no weight in the loss",
        "timestep_spacing: early and loss_weight_floor: 0.1",
        "30.3 to 24.4 on avatars (floor 14.9); red drift +21 to +8, which is not solved",
    ),
    (
        "texture at 64 pixels",
        "too few steps in the time of training on a CPU",
        "batches of 16 instead of 64, and so four times as many steps",
        "99.7 to 55.9 after 25,600 images of avatars (floor 10.8)",
    ),
    (
        "hair of several colours at 64 pixels",
        "at this size a step is slow, so the network saw too few images to learn which parts of a face belong together",
        "half_size_steps: 1200, of 32 images at 32 pixels without the first level of the network, before the others",
        "35.8 to 23.8 after 64,000 images of avatars (floor 10.8), for a fifth more time",
    ),
)


def tabulate_solved_problems() -> Table:
    """Return a table of these problems."""
    columns = ["problem", "cause", "what was changed", "Fréchet distance, before and after"]
    return Table(CAPTION, columns, [[Cell(text) for text in problem] for problem in PROBLEMS])
