"""The pre-send checker: extract → classify → fetch → reputation → verdict → gate."""
