"""What this kernel does with CPUs, read from /proc and /sys."""
