"""The default value and the meaning of every parameter.

No stage depends on this module, so editing a meaning reruns nothing.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Description:
    """The default value of one parameter, and its meaning, which params.yaml shows as a comment after the value."""

    default: Any
    meaning: str


# The keys are parameters, in the order of params.yaml.
DESCRIPTIONS: dict[str, Description] = {
    "source": Description(
        "avatars", "source of the images: avatars (rendered with DiceBear), folder (your own) or kaggle (a data set)"
    ),
    "avatar_styles": Description(
        ["adventurer"], "DiceBear styles, used in turn: adventurer, lorelei, notionists, big-smile, micah, ..."
    ),
    "avatar_count": Description(6000, "number of avatars to render"),
    "avatar_backgrounds": Description(
        ["b6e3f4", "c0aede", "d1d4f9", "ffd5dc", "ffdfbf"],
        "background colours as hexadecimal RGB, one picked per avatar; put quotes around one that looks like a number",
    ),
    "avatar_size": Description(128, "side length of an avatar in pixels, at most 256"),
    "avatar_seed": Description(0, "seed of the avatars; a different seed gives different people"),
    "folder": Description(
        "pictures", "used with source: folder; path of your folder, zip or tar of images, relative to the main checkout"
    ),
    "kaggle_dataset": Description(
        "stevenevan99/face-of-pixiv-top-daily-illustration-2020",
        "used with source: kaggle; the data set as owner/name, or the address of its page",
    ),
    "kaggle_version": Description(
        1,
        "used with source: kaggle; version of the data set (with 0 or latest, the run stops and names it)",
    ),
    "crop": Description(
        "auto",
        "images in which faces are detected: auto (all but nearly square ones of at most 256 pixels, or 512 if nearly "
        "all images are square face crops), detect (all) or whole (none)",
    ),
    "image_size": Description(64, "side length of the training images and samples in pixels"),
    "crop_margin": Description(0.3, "margin on each side of a detected face, as a fraction of the face's side length"),
    "crop_likelihood": Description(0.975, "minimum likelihood of a detection, 0 to 1; detections below it are ignored"),
    "faces_per_picture": Description(8, "maximum number of faces cropped from one image, most likely first"),
    "min_side": Description(
        48, "minimum side length of a face crop in pixels, before resizing; smaller crops are dropped"
    ),
    "max_dropped": Description(
        0.5, "maximum fraction of the images that may be dropped; if more are, the stage stops with an error"
    ),
    "copies": Description(
        "auto",
        "which faces are copies; all but one are dropped, and their images share a split: lenient (the same drawing, "
        "also with small changes), strict (no visible difference), identical (equal pixels) or auto (strict for "
        "avatars, otherwise lenient)",
    ),
    "near_duplicates": Description(
        6.0,
        "similar faces up to this RMS colour difference (of 255), not aligned, are near-duplicates, and all but one "
        "are dropped; 0: no such search",
    ),
    "min_sharpness": Description(
        0.0, "minimum variance of the Laplacian (blurred faces: under 50); faces below it are dropped; 0: no filter"
    ),
    "min_contrast": Description(
        0.0, "minimum standard deviation of the grey values; faces below it are dropped; 0: no filter"
    ),
    "min_colour": Description(
        0.0,
        "minimum mean of max(R, G, B) - min(R, G, B) (grey faces: under 3); faces below it are dropped; 0: no filter",
    ),
    "held_out": Description(
        0.15, "fraction of the images in the held-out set, which is used for evaluation and not for training"
    ),
    "extractor": Description(
        "efficientnet-lite0",
        "network that computes the image features for the scores; inception gives FID, and its weights are downloaded "
        "once",
    ),
    "reference_faces": Description(
        500,
        "the features for the scores are computed from at most this many held-out faces, and as many training faces",
    ),
    "schedule": Description("cosine", "noise schedule"),
    "timesteps": Description(1000, "number of noise levels in the schedule (T)"),
    "zero_snr": Description(False, "rescale the schedule so that its last timestep is pure noise (zero terminal SNR)"),
    "log_snr_shift": Description(
        0.7, "offset added to the schedule's log-SNR, in nats; a good start is 2 ln(64 / image_size)"
    ),
    "prediction": Description(
        "v", "what the network predicts: eps (the noise), x0 (the clean image) or v (the velocity)"
    ),
    "loss_weighting": Description(
        "min_snr", "loss weight of each noise level; simple: all 1; snr: equivalent to the unweighted loss on eps"
    ),
    "min_snr_gamma": Description(
        5.0, "used with loss_weighting: min_snr; SNR above which the weight of the error in x0 no longer rises (gamma)"
    ),
    "loss_weight_floor": Description(
        0.1,
        "minimum weight of the error in the prediction at each noise level (1 = unweighted); ignored for "
        "loss_weighting: simple",
    ),
    "optimiser": Description(
        "muon", "muon: Muon for the inner convolutions, AdamW for the rest; adamw: AdamW for all weights"
    ),
    "lr": Description(0.006, "peak learning rate"),
    "warmup": Description(0.05, "fraction of the steps over which lr rises linearly to its peak"),
    "decay": Description(0.5, "fraction of the steps, at the end, over which lr falls linearly to zero"),
    "batch_size": Description(16, "training images per step"),
    "half_size_steps": Description(
        1200,
        "training steps before the others, on images of half the size (2 x batch_size per step) and without the first "
        "UNet level; the whole UNet starts with these weights (progressive training); 0: none; init_from skips them",
    ),
    "steps": Description(4000, "training steps"),
    "ema_half_life": Description(
        5000.0, "half-life of the EMA of the weights, in training images (shorter at the start of training)"
    ),
    "grad_clip": Description(1.0, "maximum gradient norm; larger gradients are scaled down to it"),
    "flip": Description(False, "mirror training images at random; use only if faces look left as often as right"),
    "model_channels": Description(24, "channels of the first UNet level"),
    "channel_mult": Description([1, 2, 4, 4], "channels of each UNet level, as multiples of model_channels"),
    "num_res_blocks": Description(1, "residual blocks per UNet level"),
    "attention_resolutions": Description(
        [4],
        "UNet resolutions with self-attention; the first level has image_size / patch_size, each next level half of it",
    ),
    "dropout": Description(0.0, "dropout probability in the residual blocks"),
    "patch_size": Description(
        2, "side length of the pixel blocks folded into channels before the UNet; 1: no patching"
    ),
    "precision": Description(
        "fp32", "floating-point format: auto (bf16 if the device supports it natively, otherwise fp32), fp32 or bf16"
    ),
    "seed": Description(0, "seed of the initial weights, data order, flips, noise and dropout"),
    "log_every": Description(20, "training steps between rows of the loss table (results/loss.csv)"),
    "init_from": Description(
        "none",
        "model file below models/ from which the training starts, of the same architecture and schedule; none: random "
        "weights",
    ),
    "keep_best": Description(
        False,
        "save the EMA of the weights with the lowest held-out error of the six that are measured, not the last one "
        "(ema_kind: posthoc ignores it)",
    ),
    "ema_kind": Description(
        "ema",
        "EMA of the weights that generates the samples: ema (half-life ema_half_life) or posthoc (width ema_sigma_rel)",
    ),
    "ema_sigma_rel": Description(
        0.1, "used with ema_kind: posthoc; relative width (sigma_rel) of the EMA, as a fraction of the training length"
    ),
    "guidance_scale": Description(2.0, "autoguidance scale; 1 disables it"),
    "guidance_snapshot": Description(
        0.5, "fraction of training after which the guiding model was saved; the nearest of six snapshots is used"
    ),
    "guidance_min_log_snr": Description(
        -3.0,
        "autoguidance applies only at noise levels with at least this log-SNR, because at higher noise it can shift "
        "colours and contrast; -100: at all levels",
    ),
    "sampler": Description(
        "ddpm", "ddpm (posterior variance), ddpm-large (variance beta), ddim, dpm-solver++ (2M) or heun"
    ),
    "timestep_spacing": Description(
        "early",
        "timesteps that the sampler visits: trailing (evenly spaced from the last), leading (even, but skips the "
        "noisiest), log-snr (even in log-SNR) or early (trailing, with more at high noise)",
    ),
    "sample_steps": Description(
        20, "network evaluations per image (NFE), at most the number of timesteps; autoguidance doubles them"
    ),
    "eta": Description(
        0.0, "used with sampler: ddim; noise added per step: 0 is deterministic, 1 is ancestral sampling as in ddpm"
    ),
    "samples": Description(500, "number of samples to generate and evaluate"),
    "sample_seed": Description(0, "seed of the samples; the noise of sample i depends only on sample_seed and i"),
    "denoising_frames": Description(
        11,
        "frames stored for the denoising figure and animation: pure noise, sampling steps evenly in log-SNR, and the "
        "clean image",
    ),
    "sampler_study": Description(
        ["ddim:20", "dpm-solver++:10"],
        "further samplers to compare, as [EMA_KIND/]SAMPLER:NFE, for example ddim:20 or raw/ddim:20 (raw: no EMA)",
    ),
    "progress_samples": Description(
        64,
        "samples per training snapshot for the curve of distance during training, without autoguidance; at least 2, or "
        "0 for no curve",
    ),
    "transform_faces": Description(
        6, "number of held-out faces for image editing (SDEdit) and the DDIM inversion round trip"
    ),
    "transform_strengths": Description(
        [0.5, 0.8, 0.9, 0.95],
        "SDEdit strengths, as fractions of the sampling steps; 0 keeps the image, 1 starts from noise",
    ),
    "transform_steps": Description(
        50,
        "network evaluations per edited image, at most the number of timesteps; the DDIM round trip needs five times "
        "as many",
    ),
    "transform_between": Description(8, "images per latent interpolation between two seeds, including both ends"),
    "transform_seed": Description(0, "seed of the noise for image editing and interpolation"),
    "kid_subsets": Description(50, "number of random subsets over which KID is averaged"),
    "kid_subset_size": Description(100, "images per KID subset; with fewer images, each subset holds all of them"),
    "bootstrap": Description(200, "number of bootstrap resamples for the 95 % confidence intervals"),
    "distance_to_train": Description(
        False, "also compute the distance to the training set, as papers publish FID; it is lower for copied faces"
    ),
    "evaluate_seed": Description(0, "seed of the KID subsets and the bootstrap"),
    "figure_style": Description("whitegrid", "seaborn style of the plots"),
    "figure_palette": Description("colorblind", "seaborn colour palette of the plots"),
    "figure_dpi": Description(120, "resolution of the plots in dots per inch"),
    "grid_side": Description(5, "maximum number of images along each side of the sample grid"),
    "report_title": Description("Omokage", "title of the report"),
}
