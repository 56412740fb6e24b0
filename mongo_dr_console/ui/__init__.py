"""The console: the Textual app, its screens and widgets. The only package that imports textual."""
