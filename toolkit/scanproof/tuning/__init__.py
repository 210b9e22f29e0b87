"""Search for settings of un-trained reconstructions: what is searched, on which slices, by which objective."""
