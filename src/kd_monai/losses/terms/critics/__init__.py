"""Terms whose judge, a network with its own optimiser, learns beside the student.

A critic never leaves the training: it is in no exported bundle and in no student's checkpoint.
"""
