"""Items at request time: attributes, availability, filters and eligibility."""
