"""A batch's journey through one site: capture, seal, ship, collect, apply, acknowledge, settle, recover."""
