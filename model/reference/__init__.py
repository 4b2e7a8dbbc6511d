"""The network of `worldstep-model` in PyTorch: the same weights, the same output within rounding."""
