"""Published networks for twelve-lead and one-lead ECG, taken from the files that the user has: features and labels."""
