"""The doctor: finds faults of the network and the settings around a running node, and says the remedy."""
