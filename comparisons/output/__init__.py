"""How results are shown: tables, CSV files, the page, and in a notebook."""
