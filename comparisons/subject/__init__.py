"""Whose code is judged: how it wants to be called, what it is asked, and what it returned."""
