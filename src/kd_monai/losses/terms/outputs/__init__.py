"""Terms between the two networks' outputs: logits, or probabilities in the head's own channels."""
