"""What was spent and what is left: budgets, alerts, reports, reconciliation."""
