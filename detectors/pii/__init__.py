"""Finding and masking personal data and secrets in text; start with `detectors.pii.scanner.Scanner`."""
