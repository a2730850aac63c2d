"""The auditor's tools: alerts derived again from the log and compared, chains and seals verified."""
