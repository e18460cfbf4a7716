"""From an alert to a dataset that a trainer can take."""
