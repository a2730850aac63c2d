"""The pipeline that runs live, in replay and in evaluation, and the service around it."""
