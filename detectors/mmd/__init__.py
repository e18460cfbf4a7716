"""The parts of the kernel two-sample detector: features, running window, calibration, confirming test."""
