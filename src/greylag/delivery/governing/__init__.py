"""Labels, obligations and sign-offs at work on what a task moves. Nothing here sends anything, or decides."""
