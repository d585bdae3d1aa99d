"""What `tune` and `embed` share when they learn: one loop, schedules, samplers, checkpoints."""
