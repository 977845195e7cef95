"""docs/alerts.yml, read by Prometheus."""
