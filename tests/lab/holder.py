"""Holds associations until it is killed: ``holder.py ADDRESS PORT CALLED COUNT``."""

from __future__ import annotations

import sys

import pynetdicom

address, port, called, count = sys.argv[1:]
ae = pynetdicom.AE("CT1")
ae.add_requested_context("1.2.840.10008.1.1")
held = [ae.associate(address, int(port), ae_title=called) for _ in range(int(count))]
sys.stdin.read()
