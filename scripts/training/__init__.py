"""What the training of the embedded networks is made of, beside its loop."""
