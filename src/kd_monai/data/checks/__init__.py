"""What a data set's files hold: their soundness, label convention and digest.

It reads every voxel once and notes what it learned; it never changes a file, and never splits or loads for training.
"""
