"""Terms whose judge, a network with its own optimiser, learns beside the student and never leaves the training."""
