"""How results are shown: tables, CSV files, and the page."""
