from tests.support.browser import page

__all__ = ["page"]
