"""The captions of the figures. The HTML page also uses them as alternative texts (alt)."""

CAPTIONS = {
    "samples": (
        "Samples of the model (left) and held-out real faces (right). Both are the first of their set, in order, "
        "not selected."
    ),
    "loss": (
        "Loss on training and held-out faces by training step: mean squared error on whitened images, no unit, "
        "logarithmic. Below: the learning rate."
    ),
    "noise_levels": (
        "Squared error by noise level, given as log signal-to-noise ratio in nats: noise on the left, clean images on "
        "the right. The shaded gap between training and held-out faces is overfitting."
    ),
    "scores": (
        "Scores of the samples (no unit) next to the scores of real faces (floor). "
        "Lines through the bars are 95\u00a0% intervals."
    ),
    "progress": "Score during training, from few samples per snapshot. Compare these scores only with each other.",
    "study": "Samplers and EMA weights compared, by network evaluations per image (NFE).",
    "neighbours": (
        "The samples closest to a training face, with that face and the closest held-out face. "
        "A copy would look like the training face."
    ),
    "animation": "Denoising of a few samples. The animation pauses on the last frame.",
    "denoising": (
        "Denoising of a few samples: the noisy image x_t at timestep t, and the clean image that the network predicts "
        "from it."
    ),
    "transformed": (
        "Image editing (SDEdit) of held-out faces: noise is added, more in each row, and removed again. Little noise "
        "keeps the person, much noise makes another. Below: the DDIM inversion round trip and its error."
    ),
    "between": "Latent interpolation: samples along an arc from one starting noise to another.",
    "schedule": (
        "Noise schedule by timestep: the remaining share of the image's variance, and the log signal-to-noise ratio "
        "in nats. The other schedules are faint."
    ),
    "data_card": (
        "The data: how many faces were kept or dropped, the sizes of the images, and the colours of training and "
        "held-out faces. Below: faces of both sets, and some dropped faces with the reason."
    ),
    "contact": "Some images of the data set, with the crops marked.",
    "noising": "Held-out faces at some timesteps t of the schedule, with the log signal-to-noise ratio in nats below.",
}
