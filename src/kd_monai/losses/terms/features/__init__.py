"""Terms between tapped layers of the two networks, one a file.

A term gets the layers that its YAML names; it never looks into a network.
"""
