"""Response stages: from LDR level to exposure, solved in closed form on the support."""
