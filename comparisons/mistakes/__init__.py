"""What people get wrong: each known mistake, and what it changes."""
