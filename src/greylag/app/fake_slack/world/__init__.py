"""What a Slack workspace holds and what its rules are: records, text, blocks. Nothing here opens a connection."""
