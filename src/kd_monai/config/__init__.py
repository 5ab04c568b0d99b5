"""What a command means: the one table of variables, the bundles' files read once, a frozen plan for each role.

It checks names and values before anything runs. It never trains, and nobody comes back to it during a training.
"""
