"""Where metadata rests: event logs, projections, threads, people, repositories, ledgers. SQLite or PostgreSQL."""
