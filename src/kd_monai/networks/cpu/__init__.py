"""What makes torch's own convolutions on a CPU faster, and one of them right."""
