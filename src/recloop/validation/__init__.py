"""Data validation: Great Expectations suites as code, and the check of a snapshot against them."""
