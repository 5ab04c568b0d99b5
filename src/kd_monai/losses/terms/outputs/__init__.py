"""Terms between the two networks' outputs: logits, or probabilities in the head's own channels, one a file.

A term gets outputs and the batch; it never calls a network.
"""
