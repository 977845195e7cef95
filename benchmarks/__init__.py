"""The benchmarks: load generators, the processes under test, figures, plots, and a command for each question."""
