"""The published language of the sample application."""
