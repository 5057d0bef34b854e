"""Alerts that Elastic Security raised in the cluster, taken in as alerts here: each once.

reading: what one alert document says. index: what is asked of the cluster. taking: the poll that stores.
status: where a poll stands, for people. writing: what is written back, if that is switched on.
"""
