"""Ratings and corrections of inferences, from their topic to their table."""
