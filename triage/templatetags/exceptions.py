"""Entries of exceptions in words; their values stay data."""

from django import template

from triage.exception_items.content import operator_words, subject_words

register = template.Library()
register.filter("subject_said", subject_words)
register.filter("operator_said", operator_words)
