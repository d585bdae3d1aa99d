"""The parts of the small encoder that is trained from nothing."""
