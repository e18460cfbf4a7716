"""One file a page: `load` asks the store, `render` draws what it said."""
