"""What is known about items at request time: attributes, availability, filters and eligibility."""
