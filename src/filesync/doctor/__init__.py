"""`filesync doctor`: walks the whole way of a batch, from the configuration to the peer's folder, and says what is wrong and what to do.

- It changes nothing and repairs nothing. It runs beside a working station: it takes no lock, and its probe files are written only where
  half-written files live (`.partial/`), under a name that a station's cleaning leaves alone (`….put`), and are removed again.
- Every step that may hang (a dead share, a silent server, a held file) has a hard deadline of its own (`deadline.bounded`).
- A check that fails does not end the walk: what depends on it is `skipped`, with the reason.

`findings` is what comes out, `examination` is the order. Not here: how findings look on a screen (cli.examining).
"""
