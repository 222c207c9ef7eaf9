"""Tasks: which pictures and labels make the support and the query of one mapping."""
