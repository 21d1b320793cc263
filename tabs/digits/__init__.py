"""The Digits tab."""
