"""What a run will take, measured before it begins: memory, time, disk; and what suits it better."""
