"""Terms between tapped layers of the two networks."""
