"""The kernel engine: the settings below /proc/sys/net that forwarding through the node needs."""
