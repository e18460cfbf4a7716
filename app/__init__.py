"""Wiring only: settings read once from the environment, the command line, everything on this machine."""
