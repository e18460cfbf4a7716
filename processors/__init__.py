"""The stream processors: enrich, detect, alert, notify, retrain."""
