"""Detection rules as files: Elastic's detection-rules TOML and Kibana's NDJSON into typed data."""

from detections.rule_files.model import Loaded, RuleFile

__all__ = ["Loaded", "RuleFile"]
