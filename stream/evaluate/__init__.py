"""Sets of records through the same pipeline as the ward's, scored against their reference annotations."""
