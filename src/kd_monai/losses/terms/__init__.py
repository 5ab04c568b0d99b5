"""The distillation terms, one a file: `term(student, teacher, batch)` gives one value per sample.

`outputs/` compare what networks say, `features/` what they tap, `critics/` are taught against the student.
No file imports another folder's, and no list of terms exists: `_target_` in a YAML is the registry.
"""
