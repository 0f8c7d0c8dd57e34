"""The report as a page of its own: everything in one file, which asks nothing of any network."""

from gameday.report.html.page import fresh_page, page, write_html
from gameday.report.html.pdf import pdf

__all__ = ["fresh_page", "page", "pdf", "write_html"]
