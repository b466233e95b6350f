"""What recommenders of histories are trained for, and the losses of it."""
