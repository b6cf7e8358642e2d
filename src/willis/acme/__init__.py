"""Certificates that look after themselves: ordered and renewed (RFC 8555), stapled (RFC 6960).

``when``, ``ocsp`` and ``stopgap`` are pure; ``account``, ``client`` and ``responder`` are the edges.
"""
