"""What an ECG is, and the whole clinical logic: arrays and rules, with no socket, no clock and no network."""
