"""Real processes under real failures, their history checked."""
