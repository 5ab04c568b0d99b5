"""Plans become finished and scored runs: what can be refused is refused, the teacher is trained, then the student.

It runs MONAI's workflows on plans. It never reads a variable, compares runs or builds a table.
"""
