"""The addresses engine: brings the VIPs up on the node's interfaces and announces them."""
