"""What is read out of a model's reply, and put back into it, while it passes."""
