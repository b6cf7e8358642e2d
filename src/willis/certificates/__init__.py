"""Certificates and keys: read them, judge them (pure), and keep them on disk (``store``)."""
