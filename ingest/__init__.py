"""How traffic gets in."""
