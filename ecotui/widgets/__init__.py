"""The parts of a screen: each shows one part of the state and keeps no truth of its own."""
