"""A model that is quick to compute, where a test is not about the model."""

SMALL_MODEL = ("model.widths=[16,16,16,16]", "model.depths=[1,1,1,1]")
