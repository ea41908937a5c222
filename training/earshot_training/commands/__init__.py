"""The commands of `earshot-train`: each reads files, calls the library and writes files."""
