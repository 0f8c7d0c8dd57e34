"""Programs and helpers of the tests, and what tries them."""
