"""What is wrong with a data set, where, why it matters and what to do; no torch."""
