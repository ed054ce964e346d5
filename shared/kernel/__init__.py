"""What this kernel does with CPUs, read from /proc and /sys; nothing is changed but in cpuset.py."""
