"""Who acts and what they may do: keys, tokens, signers, and what is told of them."""
