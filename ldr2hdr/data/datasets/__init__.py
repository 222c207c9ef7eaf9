"""The public sets of LDR and HDR pictures: one reader per set, all yielding the same scene records."""
