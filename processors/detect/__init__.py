"""From measurements to detections: the detectors of each model, and where their state is kept."""
