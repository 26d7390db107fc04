"""Pages for people: one self-contained HTML file each."""

from ava_eval.report.evaluation import About, Beside, Page, evaluation_page

__all__ = ["About", "Beside", "Page", "evaluation_page"]
