"""The folder with the state: what is kept, and what a fault leaves of it."""
