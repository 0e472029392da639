# Unit tests (libcheck) and the protocol explorers; included by the top-level Makefile.
.PHONY: unit unit-build
unit-build:
unit:
