"""What a site's folder holds and what is wrong with it, before a study is run."""
