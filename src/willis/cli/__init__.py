"""The command line: commands that speak REST to an engine's socket, and show what it answers."""
