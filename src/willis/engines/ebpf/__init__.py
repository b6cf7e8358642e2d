"""Layer 4 by direct routing: one eBPF program, its compiler and its driver."""
