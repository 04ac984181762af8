"""The generation pass: what models write to probes, from live, recorded and served models alike."""
