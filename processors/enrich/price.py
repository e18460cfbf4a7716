"""Step 4: what an inference cost. Exact to a billionth; what is not known has no cost, which is not 0."""

from __future__ import annotations

from processors.pricing.book import Price, PriceBook, load_price_book
from processors.pricing.cost import Pricer, in_currency

__all__ = ["Price", "PriceBook", "Pricer", "in_currency", "load_price_book"]
