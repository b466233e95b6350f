"""ONNX files: how they are opened for both threats, and one as a recommender of sequences."""
