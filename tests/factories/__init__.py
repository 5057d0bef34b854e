"""Plain makers of test data, without surprises."""
