"""Other ways from PyTorch to TFLite than onnx-tf; what they make stands beside our variants."""
