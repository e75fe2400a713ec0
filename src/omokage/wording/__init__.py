"""Write numbers, lists and values as text, in figures, in the report and in comparisons."""
