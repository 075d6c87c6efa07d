"""What an operator does with editions: look, publish, take back, retry, stop, clear away."""
