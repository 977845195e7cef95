"""The benchmarks' parts: load generation, processes, statistics, the CSV and the plots."""
