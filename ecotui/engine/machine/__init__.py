"""What the machine has and how it is set up: one module a part, each returning verdicts."""
