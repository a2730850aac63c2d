"""From a window of samples to probabilities and a risk level."""
