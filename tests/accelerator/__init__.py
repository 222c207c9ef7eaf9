"""The emulated accelerator, one module for all tests that use it."""
