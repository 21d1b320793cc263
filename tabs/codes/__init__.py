"""The Codes tab."""
