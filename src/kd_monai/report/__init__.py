"""What finished runs show: comparable runs, paired comparisons, tables, findings and figures.

It reads run folders and writes text, CSV and pictures. It never trains, never scores, and never changes a run.
Callers take `report` (short and long form), `selection` and `fixed_mask`.
"""
