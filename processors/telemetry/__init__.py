"""What mirrors lost and what model servers say, from their topic to their tables."""
