"""Data quality: Great Expectations suites as code, and the gate that they form."""
