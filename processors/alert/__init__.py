"""From measurements and detections to alert transitions: rules, windows, a state machine."""
