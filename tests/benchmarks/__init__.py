"""The benchmarks: their loads, figures, tables and plots."""
