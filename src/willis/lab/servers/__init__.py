"""Simulated imaging hosts: one module a kind of application, each a process with a ledger.

Started as ``python -m willis.lab.servers.dicom SPEC``; the file SPEC is written by ``brief``.
"""
