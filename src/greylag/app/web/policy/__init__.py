"""The officer's pages and their API: which rules and facts are in force, and why a decision is as it is."""
