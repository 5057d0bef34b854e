"""Elastic's Event Query Language: one parser, one tree, two back ends (SQL and Python)."""

from detections.eql.ast import Query
from detections.eql.parser import parse

__all__ = ["Query", "parse"]
