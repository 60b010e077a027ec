"""What each command does: one study a file, from the cases to the timings."""
