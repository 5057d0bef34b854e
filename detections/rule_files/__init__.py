"""Detection rules as files: Elastic's detection-rules TOML and Kibana's NDJSON into typed data."""

from detections.rule_files.loading import load_rules
from detections.rule_files.model import Loaded, RuleFile
from detections.rule_files.reading import load_rule_text

__all__ = ["Loaded", "RuleFile", "load_rule_text", "load_rules"]
