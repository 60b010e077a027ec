"""Mistakes that people really made, before and after their mend: each is caught, located and named, and then passes."""
