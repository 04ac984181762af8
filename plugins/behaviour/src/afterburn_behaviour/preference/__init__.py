"""Which of given continuations each side finds more probable: preference pairs and the options of multiple choices."""
