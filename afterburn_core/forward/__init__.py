"""The forward pass: shared token batches go through every subject, and analyzers see both sides' inside and output."""
