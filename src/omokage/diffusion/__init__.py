"""The diffusion model that training and sampling share: noise schedule, objective, network, EMA and model file."""
