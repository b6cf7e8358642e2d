"""Bytes to messages and back: pure coders of what imaging speaks. No sockets, no clock."""
