"""How it is judged: one set of quantities beside the reference, to a verdict for each number."""
