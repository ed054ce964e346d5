"""/metrics: read from the segment and from the parts of this process at scrape time."""
