"""The names that the parameters of params.yaml have in diffusers, in NVlabs/edm2 and in papers.

A diffusers name is an argument of a class or an option of a training example. An EDM2 name is a keyword argument; a
command-line option with a different name follows in parentheses. Other parentheses note a unit or meaning that differs
from ours. A parameter without an entry has no counterpart. Our names `num_res_blocks` and `attention_resolutions` come
from openai/guided-diffusion.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class OtherNames:
    """The names of one parameter in huggingface/diffusers and NVlabs/edm2, and its term in papers; "" means none."""

    diffusers: str = ""
    edm2: str = ""
    papers: str = ""


# The keys are parameters, in the order of params.yaml.
OTHER_NAMES: dict[str, OtherNames] = {
    "folder": OtherNames("train_data_dir", "dataset_kwargs.path (--data)"),
    "image_size": OtherNames("sample_size, resolution", "img_resolution"),
    "schedule": OtherNames(
        "beta_schedule (our cosine: squaredcos_cap_v2; diffusers' sigmoid is not ours)",
        papers="beta_t (Ho et al. 2020)",
    ),
    "timesteps": OtherNames("num_train_timesteps", papers="T (Ho et al. 2020)"),
    "zero_snr": OtherNames("rescale_betas_zero_snr", papers="zero terminal SNR (Lin et al. 2024)"),
    "log_snr_shift": OtherNames(
        edm2="P_mean (only in training; log_snr_shift = s lowers P_mean by s / 2)",
        papers="shifted schedule, 2 log(64 / d) (Hoogeboom et al. 2023)",
    ),
    "prediction": OtherNames(
        "prediction_type (epsilon, sample, v_prediction)", papers="eps, x, v (Salimans & Ho 2022)"
    ),
    "loss_weighting": OtherNames(papers="lambda(sigma) (Karras et al. 2022), w_t (Hang et al. 2023)"),
    "min_snr_gamma": OtherNames("snr_gamma", papers="gamma (Hang et al. 2023)"),
    "optimiser": OtherNames(edm2="optimizer_kwargs", papers="Muon (Jordan et al. 2024)"),
    "lr": OtherNames("learning_rate", "ref_lr (--lr)", "alpha_ref (Karras et al. 2024, EDM2)"),
    "warmup": OtherNames("lr_warmup_steps (in steps)", "rampup_Mimg (in million images)"),
    "batch_size": OtherNames("train_batch_size (per device)", "batch_size (--batch)"),
    "half_size_steps": OtherNames(papers="progressive training (Gu et al. 2023, Matryoshka Diffusion Models)"),
    "steps": OtherNames("max_train_steps", "total_nimg (--duration; in images)"),
    "ema_half_life": OtherNames(
        "ema_max_decay (decay per step, not a half-life)",
        "halflife_Mimg (in million images)",
        "EMA half-life (Karras et al. 2022)",
    ),
    "grad_clip": OtherNames("max_grad_norm"),
    "flip": OtherNames("random_flip", "xflip"),
    "model_channels": OtherNames(
        "block_out_channels[0]", "model_channels (--channels)", "channels (Dhariwal & Nichol 2021)"
    ),
    "channel_mult": OtherNames("block_out_channels (absolute numbers of channels)", "channel_mult"),
    "num_res_blocks": OtherNames("layers_per_block", "num_blocks", "depth (Dhariwal & Nichol 2021)"),
    "attention_resolutions": OtherNames(
        "down_block_types, up_block_types", "attn_resolutions", "attention resolutions (Dhariwal & Nichol 2021)"
    ),
    "dropout": OtherNames("dropout", "dropout"),
    "patch_size": OtherNames("patch_size (of the diffusion transformers)", papers="patching (Luhman & Luhman 2022)"),
    "precision": OtherNames("mixed_precision", "use_fp16 (--fp16)"),
    "seed": OtherNames("seed", "seed"),
    "log_every": OtherNames(edm2="status_nimg (--status; in images)"),
    "init_from": OtherNames("pretrained_model_name_or_path", "resume_pkl (--resume; in EDM: --transfer)"),
    "ema_kind": OtherNames(
        edm2="ema_kwargs (TraditionalEMA, PowerFunctionEMA)", papers="post-hoc EMA (Karras et al. 2024, EDM2)"
    ),
    "ema_sigma_rel": OtherNames(edm2="out_std (--outstd)", papers="sigma_rel (Karras et al. 2024, EDM2)"),
    "guidance_scale": OtherNames(
        "guidance_scale (of AutoGuidance)", "guidance", "w (Karras et al. 2024, autoguidance)"
    ),
    "guidance_snapshot": OtherNames(
        edm2="gnet (the guiding network itself)", papers="D_0 (Karras et al. 2024, autoguidance)"
    ),
    "guidance_min_log_snr": OtherNames(papers="sigma_hi (Kynkäänniemi et al. 2024), as a log-SNR"),
    "sampler": OtherNames(
        "DDPMScheduler, DDIMScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler",
        "sampler_fn (edm_sampler is Heun's method)",
        "DDPM (Ho et al. 2020), DDIM (Song et al. 2021), DPM-Solver++ (Lu et al. 2022), Heun (Karras et al. 2022)",
    ),
    "timestep_spacing": OtherNames("timestep_spacing", papers="table 2 (Lin et al. 2024)"),
    "sample_steps": OtherNames(
        "num_inference_steps (with Heun: half of the NFE)",
        "num_steps (--steps; half of the NFE)",
        "NFE (Karras et al. 2022)",
    ),
    "eta": OtherNames("eta", papers="eta (Song et al. 2021)"),
    "samples": OtherNames(edm2="num_images (--num)"),
    "sample_seed": OtherNames("generator", "seeds (one per image)"),
    "transform_strengths": OtherNames("strength", papers="t_0 (Meng et al. 2022)"),
    "transform_steps": OtherNames("num_inference_steps"),
    "bootstrap": OtherNames(papers="bootstrap replications (Efron 1979)"),
}
