"""What a laboratory needs to test its own plans without hardware; the pytest plugin `operando`."""
