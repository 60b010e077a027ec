"""What is right: torch's own numbers, and how far apart two right answers can lie."""
