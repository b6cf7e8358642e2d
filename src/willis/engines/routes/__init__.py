"""The routes engine: how packets find back to a proxy that speaks in its clients' names, and quick routes."""
