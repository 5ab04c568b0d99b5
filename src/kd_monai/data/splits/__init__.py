"""Who is trained on, validated on and tested on: by patient, stratified, seeded, or from a file.

It sees names and strata alone, and never opens an image.
"""
