"""What is called beside models."""
