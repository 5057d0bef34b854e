"""A real Elasticsearch, and the front that answers EQL for it."""
