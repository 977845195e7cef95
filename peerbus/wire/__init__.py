"""What is sent: requests, answers, and the table of calls."""
