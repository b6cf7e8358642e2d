"""Cases of the golden configurations, a module a concern."""
