"""From a mirrored event to a row and a measurement, one step a file; `pipeline` puts them in order."""
