"""Scope: what a case has seen on one host, looked for on all others."""
