"""The documentation: pages by hand, and the generator of the reference beside them."""
