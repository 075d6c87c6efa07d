"""Labelled ground for training: labels, chips around them, splits that share no ground."""
