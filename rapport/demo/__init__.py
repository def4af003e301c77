"""A recorded fortnight of three brands that never were, to see, try and check the product with."""
