"""The MLX backend of Afterburn: the same comparison on Apple silicon, and on the CPU of any Linux machine."""
