"""Our eyes: looks at real servers, and when to take them."""
