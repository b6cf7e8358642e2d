"""REST over the daemon's unix socket: the same words as the command line."""
