"""Write a trained model as a folder that works without Omokage: weights, model card, ONNX and a diffusers pipeline."""
