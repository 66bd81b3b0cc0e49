"""What commands share of the terminal."""
