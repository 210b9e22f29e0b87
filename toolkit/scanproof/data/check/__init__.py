"""What a site's files hold, and what is odd about them: measured file by file, judged together."""
