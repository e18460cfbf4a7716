"""What an inference cost: a price book, prices of hosted models, and exact arithmetic. See `docs/prices.md`."""
