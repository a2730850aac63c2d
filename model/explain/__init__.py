"""Why: what of a window the network's answer rests on, windows like it, and an alert in words."""
