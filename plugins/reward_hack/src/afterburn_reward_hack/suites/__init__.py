"""Probe sets of the plugin: every text is drawn from seeds or written here."""
