"""`python -m copypro_standalone` is `copypro`."""

from copypro_standalone.cli import app

app(prog_name="copypro")
