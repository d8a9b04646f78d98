"""`make docs`: docs/events.md and docs/asyncapi.json from the types, their docstrings and an example."""
