"""HAProxy: layer 7, and layer 4 in the light twin."""
