"""Which mistake it is: the first wrong quantity, what explains the numbers, and how to say it."""
