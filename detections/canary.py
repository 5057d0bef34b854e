"""stub"""

from detections.models import Alert


def is_canary(alert: Alert) -> bool:
    return alert.rule is not None and alert.rule.is_canary
