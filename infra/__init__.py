"""Putting kafold together and running it: settings, engines, supervision, command line."""
