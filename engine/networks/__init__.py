"""Models: how to build a network, its weights, its preprocessing and its labels.

Everything but `labels` imports torch or onnx and belongs in a worker process.
"""
