"""Find matches of detection rules in telemetry, and account for every window that was searched."""
