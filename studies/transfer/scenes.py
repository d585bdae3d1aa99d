"""The parts world (to come)."""
ground = None
