"""The live door: what speaks Elasticsearch's bulk format sends its events here."""
