"""Networks that others trained: what their files are, which of them would execute code, and how they are opened."""
