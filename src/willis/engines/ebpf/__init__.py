"""Layer 4: one eBPF program that forwards or marks, its compiler and its driver."""
