"""Our hands: one room an engine, each with a pure ``compile.py`` and a ``driver.py`` that does the I/O."""
