"""Several models beside one base: checkpoints of one run in their order, and candidates side by side."""
