"""A reverse proxy in front of Triton that mirrors what passes."""
