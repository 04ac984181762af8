"""Probes: the prompts that models are asked, with what is known of a right answer, and how answers are checked."""
