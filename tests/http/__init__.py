"""HTTP as clients meet it, through each way to the calls."""
