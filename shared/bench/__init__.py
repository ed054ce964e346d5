"""Benchmarks of the core on the machine they run on.

`mxrc bench` runs the short form, benchmarks/bench_core.py all of it. Whatever is compared is
measured in turns in the same run, and medians are taken: on a machine with other work a ratio then
still means something, a time alone does not.
"""
