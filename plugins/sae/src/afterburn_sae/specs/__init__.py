"""What the plugin declares, one module per part; none imports NumPy or torch."""
