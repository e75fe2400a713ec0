"""The files of an exported folder, relative to it, and what each of them is."""

from omokage.library.guidance_file import GUIDING_MODEL

CARD, MODEL, CONFIG = "README.md", "model.safetensors", "config.json"
ONNX, INDEX, PIPELINE, PICTURE = "denoiser.onnx", "model_index.json", "pipeline.py", "samples.png"
VERSION_KEY = "omokage_version"  # the key of config.json by which an export is recognised
# diffusers looks for the module of a component in the folder with the component's name.
COMPONENT, COMPONENT_CLASS = "denoiser", ("omokage_denoiser", "OmokageDenoiser")
NETWORK = f"{COMPONENT}/{COMPONENT_CLASS[0]}.py"
PIPELINE_CLASS = ("pipeline", "OmokagePipeline")
FILES = {
    CARD: "this model card",
    MODEL: "the weights, float32, with the description of the model and of the run in the header",
    GUIDING_MODEL: "the weights of the guiding network: an earlier state of the training",
    CONFIG: "the network's hyperparameters and the settings of sampling",
    ONNX: "the network for ONNX Runtime",
    INDEX: "what diffusers loads",
    PIPELINE: "the pipeline for diffusers",
    NETWORK: "network, samplers and guidance, without diffusers or Omokage",
    PICTURE: "samples",
}
