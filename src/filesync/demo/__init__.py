"""The demo: a made-up retailer whose days travel, with every trouble that files meet on the way."""
