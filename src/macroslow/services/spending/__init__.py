"""What was spent and what is left: budgets, reports, reconciliation."""
