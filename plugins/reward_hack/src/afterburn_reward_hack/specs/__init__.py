"""What the plugin declares: one module per detector, none of which imports numpy or torch."""
